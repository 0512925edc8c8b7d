"""CPU seconds of a whole study on a year of 1m bars with cached scores: proposals, sweep, durable storage.

A trial is one pair of thresholds of about 2,000 fills. Each finished trial is in the journal, on the disk, before it
is reported. Imports come first and do not count.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # `python benchmarks/bench_search.py` looks beside this file only

from benchmarks.bench_engine import YEAR_OF_MINUTES, make_market  # noqa: E402 - after the path is set
from benchmarks.bench_sweep import COSTS  # noqa: E402
from itb.engine.venue import Venue  # noqa: E402
from itb.market.bars import Bars  # noqa: E402
from itb.optimize.candidate import ScoredCandidate, search_days  # noqa: E402
from itb.optimize.desk import open_desk  # noqa: E402
from itb.optimize.journal import journal_storage  # noqa: E402
from itb.optimize.objectives import OBJECTIVES, Windows  # noqa: E402
from itb.optimize.proposals import SamplerName  # noqa: E402
from itb.optimize.search import Search, Worker  # noqa: E402
from itb.optimize.space import FloatRange, Space  # noqa: E402
from itb.optimize.sweep import Sweep  # noqa: E402
from itb.strategies.ml_threshold import ThresholdSettings  # noqa: E402


def space(points: int) -> Space:
    """Two thresholds that cross about a thousand times in the year."""
    return Space(
        trade=(
            FloatRange("strategy.buy_threshold", 1.7, 2.3, points=points),
            FloatRange("strategy.sell_threshold", -2.3, -1.7, points=points),
        )
    )


def study(candidate: ScoredCandidate, days: int, sampler: SamplerName, trials: int, points: int = 50) -> float:
    """Run a study in a folder of its own; give the CPU seconds of a trial."""
    search = Search(space(points), (OBJECTIVES["sharpe"],), Windows(days, 12), sampler=sampler)
    with tempfile.TemporaryDirectory() as folder:
        desk = open_desk(
            journal_storage(Path(folder) / "journal.log"), "bench", {}, search.space,
            directions=search.directions, local=Path(folder),
        )  # fmt: skip
        worker = Worker(search, desk, lambda _parameters: candidate)
        worker.work(min(10, trials))  # what is imported late does not count
        begun = time.process_time()
        worker.work(trials)
        return (time.process_time() - begun) / (trials - 10)


def main() -> int:
    """Time the studies."""
    market = make_market(YEAR_OF_MINUTES)
    columns = {name: getattr(market, name) for name in ("open", "high", "low", "close", "volume")}
    bars = Bars.of("BTC/USDT", "1m", market.open_time, **columns)
    sweep = Sweep(bars, market.score, venue=Venue(costs=COSTS), cash=1e6)
    candidate = ScoredCandidate({"score": sweep}, ThresholdSettings(buy_threshold=2.0, sell_threshold=-2.0))
    days = search_days(bars, 0)
    print(f"{'':<44}{'trials':>8}{'ms a trial':>12}{'CPU s':>8}")
    for title, sampler, trials in (
        ("random, durable", "random", 500),
        ("TPE, durable", "tpe", 500),
        ("grid 50 x 50, durable", "grid", 2500),
    ):
        spent = study(candidate, days, sampler, trials)  # type: ignore[arg-type]  # the names are the samplers' own
        print(f"{title:<44}{trials:8,}{spent * 1e3:12.2f}{spent * trials:8.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
