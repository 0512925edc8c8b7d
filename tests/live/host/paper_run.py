"""A strategy on paper in one thread."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from itb.backtest.result import BacktestResult
from itb.backtest.run import Backtest
from itb.laws.live_parity import compare
from itb.laws.places import OnPaper
from itb.laws.stepped import SteppedRun
from itb.live.bars.bar import Bar
from itb.live.dealer import Dealer
from itb.live.gateways.faults import FaultPlan, FaultyGateway
from itb.live.journal.store import Journal, pass_by
from itb.market.bars import Bars


class FailingPaper(OnPaper):
    """Paper behind a gateway that fails by plan, if there is one."""

    def __init__(self, test: Backtest, bars: Bars, warm: int, faults: FaultPlan | None) -> None:
        super().__init__(test, bars, warm)
        self._faults = faults

    def begin(self, loop: AbstractEventLoop, journal: Journal, reach: Callable[[str], None]) -> Dealer:
        dealer = super().begin(loop, journal, reach)
        self.venue = self._gateway.engine
        if self._faults is not None:
            dealer.gateway = FaultyGateway(self._gateway, self._faults, self._gateway.clock)
        return dealer


class PaperRun(SteppedRun):
    """One life of a bot on paper; the same journal makes another one go on."""

    def __init__(
        self, file: Path, test: Backtest, bars: Bars, scores: Mapping[str, Any], warm: int, *,
        history: int = 0, keep: int = 0, reach: Callable[[str], None] = pass_by, faults: FaultPlan | None = None,
        passed: Callable[[Bar], None] = lambda _bar: None,
    ) -> None:  # fmt: skip
        place = FailingPaper(test, bars, warm, faults)
        super().__init__(
            file, test, bars, scores, place, warm=warm, history=history, keep=keep, reach=reach, passed=passed
        )
        self.venue = place.venue


def difference(backtest: BacktestResult, lived: BacktestResult) -> str:
    """Name the first difference; fees and money are exact decimals live, floats in a backtest: 12 digits agree."""
    found = compare(backtest, lived, ("backtest", "live"))
    assert found.decisions == len(backtest.bars) - backtest.start or found.apart is not None
    return "" if found.apart is None else str(found.apart)
