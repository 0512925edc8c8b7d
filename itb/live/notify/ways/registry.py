"""The ways out that `[[ways]]` may name."""

from __future__ import annotations

from itb.live.notify.telegram import Telegram
from itb.live.notify.ways.apprised import Apprise
from itb.live.notify.ways.plain import Console, Lines
from itb.live.notify.ways.webhook import Webhook

WAYS: dict[str, type[Telegram | Webhook | Apprise | Lines | Console]] = {
    "telegram": Telegram,
    "webhook": Webhook,
    "apprise": Apprise,
    "lines": Lines,
    "console": Console,
}
