"""A strategy on paper in one thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from itb.backtest.result import BacktestResult
from itb.backtest.run import Backtest
from itb.laws.live_parity import compare
from itb.laws.places import OnPaper
from itb.laws.stepped import SteppedRun
from itb.live.journal.store import pass_by
from itb.market.bars import Bars


class PaperRun(SteppedRun):
    """One life of a bot on paper; the same journal makes another one go on."""

    def __init__(
        self, file: Path, test: Backtest, bars: Bars, scores: Mapping[str, Any], warm: int, *,
        history: int = 0, reach: Callable[[str], None] = pass_by,
    ) -> None:  # fmt: skip
        place = OnPaper(test, bars, warm)
        super().__init__(file, test, bars, scores, place, warm=warm, history=history, reach=reach)


def difference(backtest: BacktestResult, lived: BacktestResult) -> str:
    """Name the first difference; fees and money are exact decimals live, floats in a backtest: 12 digits agree."""
    found = compare(backtest, lived, ("backtest", "live"))
    assert found.decisions == len(backtest.bars) - backtest.start or found.apart is not None
    return "" if found.apart is None else str(found.apart)
