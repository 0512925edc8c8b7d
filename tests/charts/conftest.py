"""Made-up runs of any length: the pictures must not care what is true."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from itb.charts.data import (
    Calibration,
    CostCurve,
    EquityCurve,
    FoldQuality,
    Importance,
    MarketPanel,
    MetricRow,
    Note,
    Region,
    ReportData,
    ScoreLine,
    Table,
)
from itb.ledger.trades import Trade
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe

MakeBars = Callable[[int], Bars]
MakeTrades = Callable[[Bars, int], tuple[Trade, ...]]
MakeReport = Callable[[int, int], ReportData]


@pytest.fixture(scope="session")
def make_bars() -> MakeBars:
    def make(n: int) -> Bars:
        rng = np.random.default_rng(7)
        steps = rng.normal(0.0, 0.002, n)
        close = 30_000 * np.exp(np.cumsum(steps))
        opened = np.concatenate(([30_000.0], close[:-1]))[:n]
        high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
        times = 1_672_531_200_000 + 60_000 * np.arange(n, dtype=np.int64)
        prices = {"open": opened, "high": high, "low": low, "close": close}
        return Bars.of("BTC/USDT", Timeframe.parse("1m"), times, **prices, volume=rng.random(n))

    return make


@pytest.fixture(scope="session")
def make_trades() -> MakeTrades:
    def make(bars: Bars, count: int) -> tuple[Trade, ...]:
        starts = np.linspace(0, len(bars) - 3, count).astype(int).tolist()
        reasons = ("signal", "stop", "target")
        return tuple(
            Trade(
                bars.symbol, "long" if k % 3 else "short", i, int(bars.open_time[i]), i + 2,
                int(bars.open_time[i + 2]), 0.25, float(bars.open[i]), float(bars.open[i + 2]), 1.0,
                (-1) ** k * (1.0 + k % 17), (-1) ** k * 0.001 * (1 + k % 17), 2, "entry", reasons[k % 3],
            )
            for k, i in enumerate(starts)
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def make_report(make_bars: MakeBars, make_trades: MakeTrades) -> MakeReport:
    """Give a report with every part filled: bars, trades."""

    def make(n: int, trades: int) -> ReportData:
        bars = make_bars(n)
        rng = np.random.default_rng(3)
        score = rng.random(n)
        score[: n // 10] = np.nan
        curve = EquityCurve(bars.close_time, 10_000 * bars.close[::-1] / bars.close[-1], 10_000.0, bars.close, "USDT")
        region = Region("hold-out", int(bars.open_time[n // 2]), int(bars.open_time[-1]))
        return ReportData(
            "BTC/USDT 1m", "Made +1.0 % while holding made +2.0 %.", "20240301-1", is_synthetic=True, looks=3,
            created="2024-03-01 10:00 UTC",
            metrics=(MetricRow("Total return", "+1.0 %", "+2.0 %", "0.0 %", "last / first − 1", "good", True),),
            notes=(Note("Skill is small."), Note("Borrowing is not charged.", "warn")),
            equity=curve,
            markets=(MarketPanel(bars, (ScoreLine("score_lightgbm", score, {"buy": 0.8, "sell": 0.2}),), (region,)),),
            trades=make_trades(bars, trades),
            folds=(FoldQuality("AUC", ("1", "2", "3"), np.array([0.51, 0.49, np.nan]), 0.5, 0.505),),
            calibrations=(
                Calibration("score_lightgbm", np.array([0.2, 0.8]), np.array([0.3, 0.7]), np.array([10, 20])),
            ),
            importances=(Importance(tuple(f"feature_{i}" for i in range(40)), rng.random(40)),),
            costs=CostCurve(np.arange(4.0), np.array([0.2, 0.1, 0.0, -0.1]), 1.0, 2.0),
            scenarios=Table(("Figure", "Stop first", "Target first"), (("Return", "+1 %", "+2 %"),)),
            ambiguous=Table(("Entered", "Result"), (("2024-01-01", "+1 %"),)),
            rejected=(("notional below the minimum", 3),),
            manifest={"config": {"seed": 1}, "versions": {"itb": "0"}},
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def full(make_report: MakeReport) -> ReportData:
    return make_report(3_000, 40)


@pytest.fixture
def hostile(full: ReportData) -> ReportData:
    """Put a closing script tag, an image with a handler and markup wherever a string can stand."""
    bad = '</script><img src=x onerror="alert(1)">\'&<b>'
    assert full.trades is not None
    assert full.equity is not None
    panel = full.markets[0]
    bars = Bars(bad, panel.bars.timeframe, panel.bars.open_time, panel.bars.columns)
    return replace(
        full, title=bad, summary=bad, run_id=bad, created=bad,
        metrics=(MetricRow(bad, bad, bad, bad, bad, "plain", True),),
        notes=(Note(bad),),
        equity=replace(full.equity, currency=bad),
        markets=(MarketPanel(bars, (ScoreLine(bad, panel.scores[0].values, {bad: 0.5}),), (Region(bad, 0, 1),)),),
        trades=tuple(trade._replace(symbol=bad, exit_reason=bad) for trade in full.trades),
        folds=(FoldQuality(bad, (bad,), np.array([0.5]), 0.5),),
        calibrations=(replace(full.calibrations[0], column=bad),),
        importances=(replace(full.importances[0], names=(bad,) * 40, kind=bad, column=bad),),
        scenarios=Table((bad, bad), ((bad, bad),)), ambiguous=Table((bad,), ((bad,),)),
        rejected=((bad, 1),), manifest={bad: {bad: bad}},
    )  # fmt: skip


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--virtual-time-budget=20000", "--enable-logging=stderr",
]  # fmt: skip


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[Path, int], subprocess.CompletedProcess[str]]:
    """Open a page of so many pixels in a headless browser; its document comes back, and what its console said."""
    if BROWSER is None:
        pytest.skip("no chromium here: the page's script is checked where there is one")

    def open_page(path: Path, height: int) -> subprocess.CompletedProcess[str]:
        own = [f"--window-size=1280,{height}", f"--user-data-dir={tmp_path / 'profile'}"]
        command = [str(BROWSER), *QUIET, *own, "--dump-dom", path.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)

    return open_page
