"""What a chat may see of a running bot and do to it: the cockpit, and what only a conversation asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from itb.live.cockpit import Cockpit

if TYPE_CHECKING:
    from itb.live.notify.message import Drawing


@dataclass(frozen=True, slots=True)
class LockLine:
    """A market in which nothing is entered ``until`` a time (UTC milliseconds), and why."""

    symbol: str
    until: int
    reason: str


@dataclass(frozen=True, slots=True)
class ModelLine:
    """The model that speaks in a column: what it has seen, since when it speaks, when the next one is due.

    Times are UTC milliseconds, 0 where there is none; ``skill`` says in words how good it was out of sample. The refit
    of ``challenger_at`` computes beside it: ``challenger_distance`` is the mean difference of their scores on
    ``challenger_bars`` bars.
    """

    column: str
    trained_until: int
    speaks_from: int
    next_refit: int = 0
    expires: int = 0
    skill: str = ""
    challenger_at: int = 0
    challenger_bars: int = 0
    challenger_distance: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """What a longer work found, as plain text, with a picture (PNG) where it made one."""

    text: str
    picture: bytes | None = None


class Bridge(Cockpit, Protocol):
    """The cockpit as a chat needs it: :meth:`backtest` and :meth:`search` take a while, all else is answered at once.

    What changes something says in a sentence what was begun, and raises :class:`itb.errors.ItbError` when it cannot.
    """

    def force_enter(self, by: str, symbol: str, side: Literal["long", "short"]) -> str:
        """Enter a market now, with the strategy's own size and protection."""

    def cancel(self, by: str, key: str = "") -> str:
        """Cancel one resting order, or all."""

    def reload_config(self, by: str) -> str:
        """Read the config again and work by it from the next bar on."""

    def config(self) -> Mapping[str, Any]:
        """Give the config in force as plain tables, without secrets."""

    def symbols(self) -> tuple[str, ...]:
        """Give the markets that may be traded."""

    def blocked(self) -> tuple[str, ...]:
        """Give the markets that a person has blocked."""

    def block(self, by: str, symbol: str) -> str:
        """Enter a market no more; what is held there is still protected and closed."""

    def unblock(self, by: str, symbol: str) -> str:
        """Lift a block."""

    def locks(self) -> tuple[LockLine, ...]:
        """Give the markets that protections have locked."""

    def unlock(self, by: str, symbol: str = "") -> str:
        """Lift the locks of one market, or all."""

    def logs(self, most: int = 20) -> tuple[str, ...]:
        """Give the newest lines of the log."""

    def models(self) -> tuple[ModelLine, ...]:
        """Give the models that speak."""

    def scoreboard(self) -> str:
        """Say how what was sent turned out."""

    async def search(self) -> Report:
        """Say how far searches for parameters are, the newest first."""

    def drawing(self, symbol: str) -> Drawing:
        """Give the picture of a market and its score."""

    async def backtest(self, by: str, days: int) -> Report:
        """Backtest the last days beside the bot, and give figures and a picture."""
