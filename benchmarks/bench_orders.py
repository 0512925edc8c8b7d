"""Whether orders survive a venue where one request in ten fails, every kind of fault, seed by seed.

Run with ``python benchmarks/bench_orders.py [ORDERS [SEEDS [FILE]]]`` (10,000 orders, 20 seeds). The program is killed
at random fail points, too, and begins a new life by its journal. With a file, finished seeds are kept there, and the
same command goes on where it was interrupted.

Lost: orders and executions that only the venue knows, or only the journal; doubled: orders that the venue took twice;
phantom: what the journal believes and the venue never had. ``off by`` is the largest difference of a position,
``broken`` counts all violations of the invariants, balances and money among them.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, astuple, dataclass
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from itb.live.gateways.faults import FaultPlan
from itb.live.invariants import executed_once, no_phantom, no_stranger, same_executions
from itb.market.costs import Costs
from itb.mlmodels.files import write_whole
from tests.live.rehearsal import Rehearsal

KILL_SHARE = 0.0005  # of all fail points that are reached
EXACT = 1e-12
HEAD = (
    f"{'seed':>4}  {'orders':>7} {'requests':>9} {'faults':>7} {'kinds':>5} {'kills':>5}  "
    f"{'lost':>5} {'doubled':>7} {'phantom':>7} {'off by':>9} {'broken':>6} {'CPU s':>6}"
)


@dataclass(frozen=True)
class Found:
    """What one seed came to."""

    orders: int
    requests: int
    faults: int
    kinds: int
    kills: int
    lost: int
    doubled: int
    phantom: int
    off_by: float
    broken: int
    cpu_s: float

    @property
    def wrong(self) -> int:
        return self.lost + self.doubled + self.phantom + self.broken + (self.off_by > EXACT)

    def line(self, name: str) -> str:
        return (
            f"{name:>4}  {self.orders:>7,} {self.requests:>9,} {self.faults:>7,} {self.kinds:>5} {self.kills:>5,}  "
            f"{self.lost:>5} {self.doubled:>7} {self.phantom:>7} {self.off_by:>9.1e} {self.broken:>6} "
            f"{self.cpu_s:>6.1f}"
        )


def together(seeds: list[Found]) -> Found:
    """Add seeds up; of the kinds of fault and of the differences, the largest."""
    columns = [sum(column) for column in zip(*map(astuple, seeds), strict=True)]
    columns[3], columns[8] = max(one.kinds for one in seeds), max(one.off_by for one in seeds)
    return Found(*columns)


def rehearse(orders: int, seed: int) -> Found:
    """Trade at random, heal, and compare."""
    memory = Path("/dev/shm")
    began = time.process_time()
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        costs = Costs(fee_currency=("base", "quote", "BNB")[seed % 3])
        plan = FaultPlan(seed=seed, per_mille=100)
        with Rehearsal(Path(folder) / "journal.db", faults=plan, seed=seed, costs=costs) as rehearsal:
            rehearsal.trade_up_to(orders, kill_share=KILL_SHARE)
            rehearsal.settle()
            book, engine, requests = rehearsal.whole_book(), rehearsal.engine, rehearsal.gateway.requests
            truth = rehearsal.truth()
            held, traded = defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal)
            for (_, symbol), amount in book.positions.items():
                held[symbol] += amount
            for trade in engine.trades:
                traded[trade.symbol] += trade.qty if trade.side == "buy" else -trade.qty
                if trade.fee_currency == trade.symbol.split("/")[0]:
                    traded[trade.symbol] -= trade.fee
            return Found(
                orders=len(engine.orders),
                requests=len(requests),
                faults=rehearsal.gateway.faults,
                kinds=len({request.fault for request in requests if request.fault}),
                kills=len(rehearsal.began) - 1,
                lost=len(no_stranger(book, truth) + same_executions(book, truth)),
                doubled=len(executed_once(book, truth)),
                phantom=len(no_phantom(book, truth)),
                off_by=float(max(abs(held[symbol] - traded[symbol]) for symbol in engine.instruments)),
                broken=len(rehearsal.violations()),
                cpu_s=time.process_time() - began,
            )


def main() -> None:
    orders, seeds = (int(text) for text in (sys.argv[1:] + ["10000", "20"][len(sys.argv) - 1 :])[:2])
    file = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    kept = {} if file is None or not file.exists() else json.loads(file.read_text())
    found: list[Found] = []
    print(HEAD)
    for seed in range(seeds):
        name = f"{orders} orders, seed {seed}"
        found.append(Found(**kept[name]) if name in kept else rehearse(orders, seed))
        kept[name] = asdict(found[-1])
        if file is not None:
            write_whole(file, json.dumps(kept).encode())
        print(found[-1].line(str(seed)), flush=True)
    whole = together(found)
    print(whole.line("all"))
    if whole.wrong:
        raise SystemExit(f"{whole.wrong} promises were broken")


if __name__ == "__main__":
    main()
