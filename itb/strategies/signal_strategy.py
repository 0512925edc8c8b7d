"""SignalStrategy: long (and short) by two columns of flags, such as those of ``[[signals]]``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from itb.indicators.score import MLScore
from itb.strategies.trader import Trader, TradeSettings

if TYPE_CHECKING:
    from itb.indicators.signals import Flags
    from itb.strategies.coin import Coin


@dataclass(frozen=True)
class _FlagColumns:
    """Two columns of flags.

    Parameters
    ----------
    buy_column, sell_column
        Names of the columns that say when to be long and when to be out (or short): 1 is yes, 0 and NaN are no.
    """

    buy_column: str = "buy"
    sell_column: str = "sell"


@dataclass(frozen=True)
class SignalSettings(TradeSettings, _FlagColumns):
    """Settings of :class:`SignalStrategy`; fractions are fractions, lengths are bars, 0 switches a part off."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.buy_column or not self.sell_column or self.buy_column == self.sell_column:
            told = f"{self.buy_column!r} and {self.sell_column!r}"
            raise ValueError(f"buy_column and sell_column must be two different columns, were {told}")


class SignalStrategy(Trader):
    """Trade by two columns of flags of each symbol; parameters are those of :class:`SignalSettings`.

    With costs and fills at the next open it makes the deals that :func:`itb.ledger.alternating.alternate` counts.
    """

    Settings = SignalSettings
    params: Any = tuple(asdict(SignalSettings()).items())

    def __init__(self) -> None:
        super().__init__()
        self.buys = [self._flag(coin, "buy_column", self.settings.buy_column) for coin in self.coins]
        self.sells = [self._flag(coin, "sell_column", self.settings.sell_column) for coin in self.coins]

    def _flag(self, coin: Coin, key: str, column: str) -> MLScore:
        made = MLScore(coin.data, column=column)
        low, high = made.source.low, made.source.high
        if not 0 <= low <= high <= 1:
            raise ValueError(f"{key} must be a column of flags, 0 or 1; {column!r} runs from {low:g} to {high:g}")
        return made

    def flags(self, coin: Coin) -> tuple[bool, bool]:
        """Look at the flags of the bar that has just closed."""
        return self.buys[coin.place][0] == 1, self.sells[coin.place][0] == 1

    def flags_of(self, coin: Coin, bars: int) -> tuple[Flags, Flags]:
        """Look at the flags of the first bars."""
        return self.buys[coin.place].column(bars) == 1, self.sells[coin.place].column(bars) == 1
