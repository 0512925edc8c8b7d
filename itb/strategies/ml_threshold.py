"""MLThreshold: long (and short) by thresholds on a model's score."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from itb.indicators.score import MLScore
from itb.indicators.signals import ThresholdRule
from itb.strategies.trader import Trader, TradeSettings

if TYPE_CHECKING:
    from itb.indicators.signals import Flags
    from itb.strategies.coin import Coin


@dataclass(frozen=True)
class _Thresholds:
    """Thresholds on one score.

    Parameters
    ----------
    score
        Name of the score column; empty takes the only one.
    buy_threshold, sell_threshold
        Enter long at or above, leave (or enter short) at or below.
    """

    score: str = ""
    buy_threshold: float = 0.55
    sell_threshold: float = 0.45


@dataclass(frozen=True)
class ThresholdSettings(TradeSettings, _Thresholds):
    """Settings of :class:`MLThreshold`; fractions are fractions, lengths are bars, 0 switches a part off."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.buy_threshold > self.sell_threshold:
            told = f"{self.buy_threshold} and {self.sell_threshold}"
            raise ValueError(f"buy_threshold must be above sell_threshold, were {told}")

    @property
    def rule(self) -> ThresholdRule:
        """The rule, for scalars and arrays alike."""
        return ThresholdRule(self.buy_threshold, self.sell_threshold)

    def check_range(self, low: float, high: float) -> None:
        """Refuse thresholds that a score in ``[low, high]`` can never cross."""
        for name in ("buy_threshold", "sell_threshold"):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must lie in the score's range [{low:g}, {high:g}], was {value:g}")


class MLThreshold(Trader):
    """Trade by thresholds on one score of each symbol; parameters are those of :class:`ThresholdSettings`."""

    Settings = ThresholdSettings
    params: Any = tuple(asdict(ThresholdSettings()).items())

    def __init__(self) -> None:
        super().__init__()
        self.rule = self.settings.rule
        self.scores = [MLScore(coin.data, column=self.settings.score) for coin in self.coins]
        for score in self.scores:
            self.settings.check_range(score.source.low, score.source.high)

    def flags(self, coin: Coin) -> tuple[bool, bool]:
        """Look at the score of the bar that has just closed."""
        score = self.scores[coin.place][0]
        return self.rule.is_bullish(score), self.rule.is_bearish(score)

    def flags_of(self, coin: Coin, bars: int) -> tuple[Flags, Flags]:
        """Look at the scores of the first bars."""
        scores = self.scores[coin.place].column(bars)
        return self.rule.is_bullish(scores), self.rule.is_bearish(scores)
