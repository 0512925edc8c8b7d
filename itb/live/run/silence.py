"""Streams that fall silent: told once for each market, and again when prices come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from itb.live.run.health import HealthBoard


class Silence:
    """Knows which markets' prices have not been heard for ``most_s`` seconds, and keeps the board told of them.

    Parameters
    ----------
    symbols, what
        The markets, and what their streams bring, in words.
    most_s
        How long a silence is nothing to tell of; 0: however long it is.
    board
        Hears of each market that is silent.
    now
        Seconds of any clock that never goes back: a market whose replay runs fast is listened to as long as any other.

    >>> from itb.live.run.health import HealthBoard
    >>> times, board = iter([0, 59, 61, 62]), HealthBoard(lambda: 0)
    >>> silence = Silence(["BTC/USDT"], "trades", 60, board, now=lambda: next(times))
    >>> silence.of("BTC/USDT"), silence.of("BTC/USDT"), board.reasons
    (False, True, ('BTC/USDT: no trades for 61 s: until they come again, the closes of bars take their place',))
    >>> silence.heard("BTC/USDT")
    >>> board.health
    'NORMAL'
    """

    def __init__(
        self,
        symbols: Iterable[str],
        what: str,
        most_s: float,
        board: HealthBoard,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._most_s, self._board, self._now = what, most_s, board, now
        self._keys = {symbol: f"{symbol}: prices" for symbol in symbols}
        self._last = dict.fromkeys(self._keys, now())

    def heard(self, symbol: str) -> None:
        """Take note of a price."""
        self._last[symbol] = self._now()
        self._board.well(self._keys[symbol])

    def of(self, symbol: str) -> bool:
        """Whether a market is silent, which is told."""
        lasts = self._now() - self._last[symbol]
        is_silent = 0 < self._most_s < lasts
        if is_silent:
            told = f"no {self._what} for {lasts:.0f} s: until they come again, the closes of bars take their place"
            self._board.trouble(self._keys[symbol], f"{symbol}: {told}")
        return is_silent

    def look(self) -> None:
        """Tell of each market that is silent."""
        for symbol in self._keys:
            self.of(symbol)
