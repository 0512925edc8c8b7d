"""Who may say anything to the bot, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from itb.live.notify.chat.incoming import Incoming

AHEAD_MS = 60_000  # a phone's message is stamped by Telegram, whose clock may be ahead of ours


class Role(IntEnum):
    """What a person may do: a reader asks, an owner also trades and stops."""

    READER = 1
    OWNER = 2


@dataclass(frozen=True)
class Gate:
    """Lets those in who are known by user and by chat, with what they have said just now; others get no answer at all.

    A private chat is one of its user alone. In a group, which must be named, members are still judged by their own
    number: the owner's word counts there, a stranger's does not.

    Parameters
    ----------
    owners, readers
        Numbers of users.
    groups
        Numbers of group chats in which they may speak as well.
    max_age_s
        Older messages are nobody's word any more.

    >>> from itb.live.notify.chat.incoming import Incoming
    >>> gate = Gate(owners=frozenset({7}))
    >>> gate.admit(Incoming(1, 7, 7, True, "/status", 5_000), now=6_000)
    <Role.OWNER: 2>
    >>> gate.admit(Incoming(1, 7, -100, False, "/status", 5_000), now=6_000) is None
    True
    """

    owners: frozenset[int]
    readers: frozenset[int] = frozenset()
    groups: frozenset[int] = frozenset()
    max_age_s: float = 60.0

    def admit(self, said: Incoming, now: int) -> Role | None:
        """Give the role of who said it, ``None`` for what must be passed over in silence."""
        is_at_home = (said.is_private and said.chat == said.user) or (not said.is_private and said.chat in self.groups)
        if not is_at_home:
            return None
        if not said.pressed and not -AHEAD_MS <= now - said.time <= self.max_age_s * 1000:
            return None
        if said.user in self.owners:
            return Role.OWNER
        return Role.READER if said.user in self.readers else None
