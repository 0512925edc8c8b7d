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
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from itb.live.gateways.faults import FaultPlan
from itb.live.invariants import executed_once, no_phantom, no_stranger, same_executions
from itb.market.costs import Costs
from itb.mlmodels.files import write_whole
from tests.live.rehearsal import Rehearsal

KILL_SHARE = 0.0005  # of all fail points that are reached
HEAD = (
    f"{'seed':>4}  {'orders':>7} {'requests':>9} {'faults':>7} {'kinds':>5} {'kills':>5}  "
    f"{'lost':>5} {'doubled':>7} {'phantom':>7} {'off by':>9} {'broken':>6} {'CPU s':>6}"
)


def rehearse(orders: int, seed: int, kill_share: float) -> tuple[str, int]:
    """Trade at random, heal, and compare; give a line of the table and how much was wrong."""
    memory = Path("/dev/shm")
    began = time.process_time()
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        costs = Costs(fee_currency=("base", "quote", "BNB")[seed % 3])
        plan = FaultPlan(seed=seed, per_mille=100)
        with Rehearsal(Path(folder) / "journal.db", faults=plan, seed=seed, costs=costs) as rehearsal:
            while len(rehearsal.engine.orders) < orders:
                rehearsal.trade(min(250, orders), kill_share=kill_share)
            rehearsal.settle()
            book, engine, requests = rehearsal.whole_book(), rehearsal.engine, rehearsal.gateway.requests
            truth = rehearsal.truth()
            lost = len(no_stranger(book, truth) + same_executions(book, truth))
            doubled, phantom = len(executed_once(book, truth)), len(no_phantom(book, truth))
            broken = rehearsal.violations()
            kinds = {request.fault for request in requests if request.fault}
            held, traded = defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal)
            for (_, symbol), amount in book.positions.items():
                held[symbol] += amount
            for trade in engine.trades:
                traded[trade.symbol] += trade.qty if trade.side == "buy" else -trade.qty
                if trade.fee_currency == trade.symbol.split("/")[0]:
                    traded[trade.symbol] -= trade.fee
            off = max(abs(held[symbol] - traded[symbol]) for symbol in engine.instruments)
            line = (
                f"{seed:>4}  {len(engine.orders):>7,} {len(requests):>9,} {rehearsal.gateway.faults:>7,} "
                f"{len(kinds):>5} {len(rehearsal.began) - 1:>5}  {lost:>5} {doubled:>7} {phantom:>7} "
                f"{float(off):>9.1e} {len(broken):>6} {time.process_time() - began:>6.1f}"
            )
    return line, lost + doubled + phantom + len(broken) + (off > Decimal("1e-12"))


def main() -> None:
    orders, seeds = (int(text) for text in (sys.argv[1:] + ["10000", "20"][len(sys.argv) - 1 :])[:2])
    file = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    done = {} if file is None or not file.exists() else json.loads(file.read_text())
    print(HEAD)
    for seed in range(seeds):
        name = f"{orders} orders, seed {seed}"
        if name not in done:
            done[name] = rehearse(orders, seed, KILL_SHARE)
            if file is not None:
                write_whole(file, json.dumps(done).encode())
        print(done[name][0], flush=True)
    wrong = sum(found for _, found in done.values())
    if wrong:
        raise SystemExit(f"{wrong} promises were broken")


if __name__ == "__main__":
    main()
