"""One market with its scores: what training gave, and what the stages after it made of that."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import BarsError
from itb.market.bars import utc
from itb.mlmodels.retrospective import refuse_retrospective

if TYPE_CHECKING:
    from itb.indicators.score import ScoreSource
    from itb.mlmodels.result import WalkForwardResult
    from itb.runs.market import Market

ScoreRanges = Mapping[str, tuple[float, float]]
"""Score column -> lowest and highest score that it declares, in the order in which columns are shown."""


@dataclass(frozen=True, eq=False)
class ScoredMarket:
    """A market, the walk-forward of each learned column, and the score columns as a strategy reads them, in order.

    ``walked`` is what training gave and stays as it is; ``scores`` is what stages add to and replace. ``notes`` are
    sentences that a reader of the scores must know. ``others`` are the coins that the models were trained on as well.
    Retrospective scores are refused with :class:`itb.errors.ModelError`: everything that trades scores takes them here.
    """

    market: Market
    walked: tuple[WalkForwardResult, ...]
    scores: Mapping[str, ScoreSource]
    notes: tuple[str, ...] = ()
    others: tuple[Market, ...] = ()

    def __post_init__(self) -> None:
        refuse_retrospective(self.scores.values(), "stages, signals, searches or strategies")

    @classmethod
    def of(cls, market: Market, walked: tuple[WalkForwardResult, ...], others: tuple[Market, ...] = ()) -> ScoredMarket:
        """Take the scores as the walk-forwards gave them."""
        sources = [source for result in walked for source in (result.source, *result.class_sources)]
        return cls(market, walked, {source.column: source for source in sources}, others=others)

    def with_scores(self, scores: Mapping[str, ScoreSource], *notes: str) -> ScoredMarket:
        """Replace columns of the same name, and put new ones behind the others."""
        return replace(self, scores={**self.scores, **scores}, notes=(*self.notes, *notes))

    def learned(self, column: str) -> WalkForwardResult | None:
        """Give the walk-forward of a column, ``None`` for one that a stage has added."""
        return next((result for result in self.walked if result.column == column), None)

    @property
    def fingerprint(self) -> str:
        """Sha256 of every score column: of what the stages made, which no walk-forward's own fingerprint knows."""
        digest = hashlib.sha256(repr(list(self.scores)).encode())
        for source in self.scores.values():
            digest.update(np.ascontiguousarray(source.batch(), dtype=np.float64).tobytes())
        return digest.hexdigest()

    def first_score(self, columns: frozenset[str]) -> int:
        """Open time of the first bar at which each of ``columns`` has had a score; other columns do not count.

        Raises :class:`itb.errors.BarsError` when one of them never has any.
        """
        times = self.market.bars.open_time
        first = 0
        for name in columns & set(self.scores):
            told = np.isfinite(self.scores[name].batch())
            if not told.any():
                raise BarsError(
                    f"{name}: no model ever spoke between {utc(times[0])} and {utc(times[-1])}; "
                    "load more bars, shorten walkforward.train, or see `itb walkforward` for what each refit says"
                )
            first = max(first, int(told.argmax()))
        return int(times[first])
