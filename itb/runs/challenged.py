"""How refits that were not promoted would have done: their scores of a bot's days graded beside those that counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.charts.wording import percent
from itb.config import stages as configured
from itb.config.columns import columns
from itb.errors import BarsError
from itb.market.bars import utc
from itb.mlmodels.promotion import losses

if TYPE_CHECKING:
    from itb.config import Config
    from itb.config.columns import LearnedColumn
    from itb.live.run.lived import Lived
    from itb.live.scores.challenging import Challenged
    from itb.market.bars import Bars, FloatArray


@dataclass(frozen=True)
class Duel:
    """A challenger beside the models that spoke, on ``matured`` of the ``bars`` that both have scored.

    ``loss`` is the one that a gate of skill judges by: mean log loss of probabilities, squared error of estimates.
    ``rate`` is the share whose direction came true.
    """

    symbol: str
    column: str
    file: str
    since: int
    bars: int
    matured: int
    is_classifier: bool
    loss: float
    champion_loss: float
    rate: float
    champion_rate: float

    def __str__(self) -> str:
        head = f"Challenger {self.symbol} {self.column} {self.file} since {utc(self.since)}"
        if not self.matured:
            return f"{head}: none of its {self.bars:,} bars has matured"
        name = "log loss" if self.is_classifier else "squared error"
        return (
            f"{head}: {name} {self.loss:.6g} (who spoke: {self.champion_loss:.6g}), right {percent(self.rate, 1)} "
            f"({percent(self.champion_rate, 1)}), on {self.matured:,} of {self.bars:,} bars"
        )

    def plain(self) -> dict[str, object]:
        """Give it for JSON, which knows no NaN."""
        return {name: None if value != value else value for name, value in asdict(self).items()}  # noqa: PLR0124


def duels(config: Config, lived: Lived, bars: Mapping[str, Bars]) -> list[Duel]:
    """Grade all challengers of a bot's days by the labels that are known in ``bars``, those of each symbol.

    A label that needs more than the market's own bars, such as a rank among coins, grades nothing here.
    """
    graded = _graded(config)
    found = []
    for (symbol, name, file), said in lived.challenged.items():
        both = [one for one in said if np.isfinite(one.score + one.champion)]
        if name not in graded or symbol not in bars or not both:
            continue
        try:
            found.append(_duel(symbol, name, graded[name], file, both, bars[symbol]))
        except BarsError:
            continue
    return found


def _graded(config: Config) -> dict[str, tuple[LearnedColumn, bool]]:
    """Say for each score column by whose label it is graded, and whether it is a probability."""
    learned = columns(config)
    found = {column.name: (column, column.taught.is_classifier) for column in learned}
    stacked = configured.stack(config)
    if stacked is not None:
        name = configured.stack_label(config).name
        target = next(column for column in learned if column.label.name == name)
        found[f"{name}_stack"] = target, stacked.algorithm.is_classifier
    return found


def _duel(
    symbol: str, name: str, graded: tuple[LearnedColumn, bool], file: str, both: list[Challenged], bars: Bars
) -> Duel:
    column, is_classifier = graded
    label = column.outcome(bars)
    places = {int(time): place for place, time in enumerate(bars.open_time)}
    rows = np.array([places.get(one.open_time, -1) for one in both])
    known = (rows >= 0) & (label.known_at[rows] >= 0) & np.isfinite(label.values[rows])
    values = label.values[rows[known]]
    figures = []
    for scores in (_array(one.score for one in both), _array(one.champion for one in both)):
        own = scores[known]
        if not len(own):
            figures += [np.nan, np.nan]
            continue
        loss = losses(own, values, is_classifier=is_classifier)
        comes_true = own >= 0.5 if column.label.is_binary else own > 0
        figures += [float(loss.mean()), float((comes_true == (values > 0)).mean())]
    loss_, rate, champion_loss, champion_rate = figures
    since = min(one.open_time for one in both)
    return Duel(
        symbol, name, file, since, len(both), int(known.sum()), is_classifier, loss_, champion_loss, rate,
        champion_rate,
    )  # fmt: skip


def _array(values: Iterable[float]) -> FloatArray:
    return np.fromiter(values, dtype=np.float64)
