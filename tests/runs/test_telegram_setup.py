"""A bot is connected in one go, to the person at this screen and nobody else; `itb notify test` tries every way."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from itb.config import load_config
from itb.config.environment import load_secrets
from itb.errors import ConfigError, GatewayError
from itb.live.notify.events import StateChanged
from itb.live.run.redaction import hide
from itb.runs.herald import build_herald, open_ways
from itb.runs.telegram_setup import setup
from itb.runs.try_ways import try_ways
from itb.runs.workspace import Workspace
from tests.live.notify.bot_api import OWNER, STRANGER, TOKEN, BotApi
from tests.live.notify.cockpit import LedgerCockpit


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    undo = hide([])  # a test's secrets are hidden during the test only
    for name in ("ITB_TELEGRAM_TOKEN", "ITB_WEBHOOK_SECRET", "ITB_APPRISE_URLS"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    undo()


def at(folder: Path, *settings: str) -> Workspace:
    file = folder / "itb.toml"
    file.touch()
    return Workspace(load_config(file, settings), clock=lambda: 1_700_000_000_000)


def test_a_bot_is_set_up_for_whoever_says_the_code(place: Path) -> None:
    (place / ".env").write_text("ITB_DATA__TIMEFRAME=4h\nITB_TELEGRAM_TOKEN=old\n")
    (place / ".env").chmod(0o600)
    told: list[str] = []
    with BotApi() as api:
        asked = threading.Event()

        def tell(line: str) -> None:
            told.append(line)
            if not asked.is_set():
                asked.set()
                api.say("/start", STRANGER)
                api.say("/start 999999", STRANGER)
                api.say("/start 123456", OWNER, chat={"id": -100, "type": "group"})
                api.say("/start 123456", OWNER)

        said = setup(at(place), lambda: TOKEN, tell, address=api.url, code="123456", patience_s=60)
        assert said.data["owner"] == OWNER
        (photo,) = api.sent("sendPhoto")
        assert photo.picture.startswith(b"\x89PNG")
        assert int(photo.said["chat_id"]) == OWNER
    env = place / ".env"
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert env.read_text().splitlines() == [
        "ITB_DATA__TIMEFRAME=4h", f"ITB_TELEGRAM_TOKEN={TOKEN}", f"ITB_TELEGRAM__CHAT={OWNER}",
        f"ITB_TELEGRAM__OWNERS=[{OWNER}]",
    ]  # fmt: skip
    assert told[0].startswith("Send to @the_bot on Telegram:  /start 123456")
    assert len(told) == 3
    assert TOKEN not in " ".join([*told, *said.lines, json.dumps(said.data)])
    config = at(place).config
    assert (config.telegram.owners, config.telegram.chat) == ((OWNER,), OWNER)
    secret = load_secrets(place).telegram_token
    assert secret is not None
    assert secret.get_secret_value() == TOKEN


@pytest.mark.parametrize(
    ("token", "error", "message"),
    [
        ("hello", ConfigError, "this is not the token of a bot"),
        ("999999999:" + "x" * 35, GatewayError, "the token is rejected"),
        (TOKEN, GatewayError, "nobody said /start 123456 to @the_bot within 0 s; nothing was kept"),
    ],
)
def test_what_cannot_be_set_up_leaves_nothing_behind(
    place: Path, token: str, error: type[Exception], message: str
) -> None:
    with BotApi() as api, pytest.raises(error, match=message) as caught:
        setup(at(place), lambda: token, lambda _: None, address=api.url, code="123456", patience_s=0.3)
    assert not (place / ".env").exists()
    assert token not in str(caught.value)


def test_every_way_is_tried_and_what_fails_is_named(place: Path) -> None:
    with BotApi() as api:
        (place / ".env").write_text(f"ITB_TELEGRAM_TOKEN={TOKEN}\nITB_WEBHOOK_SECRET=key\n")
        (place / ".env").chmod(0o600)
        ways = (
            f"ways=[{{kind='telegram', chat={OWNER}, address='{api.url}'}}, {{kind='lines', file='said.jsonl'}}, "
            "{kind='webhook', url='http://127.0.0.1:1/hook'}]"
        )
        said = try_ways(at(place, ways))
        assert said.found
        assert said.data["ways"]["telegram"] == said.data["ways"]["lines"] == ""
        assert "webhook" in said.data["ways"]["webhook"]
        assert len(api.sent("sendPhoto")) == 1
        assert json.loads((place / "said.jsonl").read_text())["picture"].startswith("iVBOR")
        assert not try_ways(at(place, ways), "lines").found
        with pytest.raises(ConfigError, match="--way fax: no such way; there are telegram, lines, webhook"):
            try_ways(at(place, ways), "fax")


@pytest.mark.parametrize(
    ("ways", "message"),
    [
        ("ways=[]", r"\[\[ways\]\]: there is none to try"),
        ("ways=[{kind='telegram', chat=5}]", r"ways\[1\]: expected ITB_TELEGRAM_TOKEN in the environment or in .env"),
        ("ways=[{kind='telegram'}]", r"ways\[1\]\.chat: must be set, here or in telegram.chat"),
        ("ways=[{kind='webhook', url='https://x'}]", r"ways\[1\]: expected ITB_WEBHOOK_SECRET"),
    ],
)
def test_a_way_that_lacks_something_names_it(place: Path, ways: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        try_ways(at(place, ways))


def test_a_configured_herald_tells_and_listens(place: Path) -> None:
    with BotApi() as api:
        (place / ".env").write_text(
            f"ITB_TELEGRAM_TOKEN={TOKEN}\nITB_TELEGRAM__CHAT={OWNER}\nITB_TELEGRAM__OWNERS=[{OWNER}]\n"
        )
        (place / ".env").chmod(0o600)
        ways = f"ways=[{{kind='telegram', address='{api.url}', pace_s=0.0}}]"
        config = at(place, ways, "outputs=[{kind='alerts'}]").config
        cockpit = LedgerCockpit()
        api.now = cockpit.now // 1000
        herald = build_herald(config, place / "journal.db", lambda: api.now * 1000, cockpit)
        waited = threading.Event()
        with herald:
            herald.tell(StateChanged(api.now * 1000, "halted", "daily loss"))
            for _ in range(6_000):
                if any(call.method == "setMyCommands" for call in api.calls) and api.texts():
                    break
                waited.wait(0.01)
            api.say("/count")
            for _ in range(6_000):
                if len(api.texts()) == 2:
                    break
                waited.wait(0.01)
        assert api.texts() == ["🛑 <b>Halted:</b> daily loss", "0 positions, 0 open orders, 2 markets"]


def test_secrets_of_ways_are_not_shown(place: Path) -> None:
    (place / ".env").write_text(f"ITB_TELEGRAM_TOKEN={TOKEN}\n")
    (place / ".env").chmod(0o600)
    opened = open_ways(at(place, "ways=[{kind='telegram', chat=5}]").config)
    assert TOKEN not in repr(opened)
    assert TOKEN not in repr(load_secrets(place))
