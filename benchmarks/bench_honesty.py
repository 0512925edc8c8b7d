"""How honest the verdict is: searches on noise that it trusts, and planted edges that it finds.

Run with ``python -m benchmarks honesty [--quick|--full]``; quick, the default, takes the first seeds only. What is
done is kept in ``.cache/honesty`` and not done again, so that a run that was stopped goes on; another rule or another
number of trials begins anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.honesty.markets import DAYS, MARKETS, has_real  # noqa: E402 - after the path is set
from benchmarks.honesty.power import closed_form, planted  # noqa: E402
from benchmarks.honesty.searches import evidence, random_rules  # noqa: E402
from itb.optimize.judging import judge  # noqa: E402
from itb.optimize.overfitting import overfitting  # noqa: E402

SEEDS = 400
TRIALS = 50
COSTS = {"0 bps": 0.0, "10 bps": 0.001}
SHARPES = (0.0, 1.0, 2.0, 2.5, 3.0, 4.0)
EDGES = {"1 of 10": (10, 1), "1 of 100": (100, 1), "1 of 500": (500, 1), "50 of 100": (100, 50)}
POWER_SEEDS = 100
QUICK_SEEDS = {"noise": 12, "columns": 12, "power": 2}
WORDS = ("trust", "weak", "overfit")

Row = dict[str, object]


def noise(market: str, seed: int) -> list[Row]:
    """Judge one search of random rules, at every cost."""
    rng = np.random.default_rng([seed, list(MARKETS).index(market)])
    trials = random_rules(MARKETS[market](rng), TRIALS, rng)
    rows: list[Row] = []
    for cost, fraction in COSTS.items():
        verdict = judge(evidence(trials, fraction))
        rows.append(
            {"part": "noise", "key": f"{market} {cost} {seed}", "market": market, "cost": cost, **_told(verdict)}
        )
    return rows


def columns(seed: int) -> list[Row]:
    """Measure the probability of overfitting on independent columns."""
    found = overfitting(np.random.default_rng([seed, 99]).normal(0, 0.02, (DAYS, TRIALS)))
    return [{"part": "columns", "key": f"columns {seed}", "pbo": found.probability}]


def power(annual: float, edge: str, seed: int) -> list[Row]:
    """Judge one search with a planted edge."""
    trials, owners = EDGES[edge]
    verdict = judge(planted(annual, trials, np.random.default_rng([seed, trials, int(annual * 10)]), owners))
    key = f"power {annual} {edge} {seed}"
    return [{"part": "power", "key": key, "sharpe_true": annual, "edge": edge, **_told(verdict)}]


def _told(verdict: object) -> Row:
    names = ("word", "sharpe", "deflated_sharpe", "spa_cash", "spa_hold", "nested_sharpe_low", "nested_median")
    return {name: getattr(verdict, name) for name in (*names, "overfitting", "trials_effective")}


def tasks(*, full: bool) -> Iterator[tuple[list[str], Callable[..., list[Row]], tuple[object, ...]]]:
    """List what there is to do: the keys of its rows, a function and its arguments."""
    seeds = {"noise": SEEDS, "columns": SEEDS, "power": POWER_SEEDS} if full else QUICK_SEEDS
    for seed in range(seeds["noise"]):
        for market in MARKETS:
            if market != "real, resampled" or has_real():
                yield [f"{market} {cost} {seed}" for cost in COSTS], noise, (market, seed)
    for seed in range(seeds["columns"]):
        yield [f"columns {seed}"], columns, (seed,)
    for seed in range(seeds["power"]):
        for edge in EDGES:
            for annual in SHARPES:
                yield [f"power {annual} {edge} {seed}"], power, (annual, edge, seed)


def collect(file: Path, *, full: bool, workers: int) -> dict[str, Row]:
    """Do what is not in ``file`` yet, append it there, and give everything that was asked for."""
    done: dict[str, Row] = {}
    if file.exists():
        for line in file.read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:  # a line that a kill cut off
                continue
            done[row["key"]] = row
    wanted = list(tasks(full=full))
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as kept, ProcessPoolExecutor(workers) as pool:
        kept.write("\n")
        missing = [task for task in wanted if not all(key in done for key in task[0])]
        futures = [pool.submit(task[1], *task[2]) for task in missing]
        for count, future in enumerate(_as_completed(futures), 1):
            for row in future.result():
                done[str(row["key"])] = row
                kept.write(json.dumps(row) + "\n")
            kept.flush()
            if count % 100 == 0:
                print(f"{count:,} of {len(missing):,}", file=sys.stderr, flush=True)
    keys = [key for task in wanted for key in task[0]]
    return {key: done[key] for key in keys}


def _as_completed(futures: list[Future[list[Row]]]) -> Iterator[Future[list[Row]]]:
    """Give futures as they end; when one fails or the run is stopped, those that have not begun are dropped."""
    try:
        yield from as_completed(futures)
    finally:
        for future in futures:
            future.cancel()


def at_least(count: int, of: int, share: float) -> float:
    """Give the probability of ``count`` or more of ``of`` when each comes with ``share``.

    >>> round(at_least(1, 2, 0.5), 2)
    0.75
    """
    ways = [math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) for k in range(count, of + 1)]
    logs = [way + k * math.log(share) + (of - k) * math.log1p(-share) for k, way in enumerate(ways, count)]
    return min(math.fsum(map(math.exp, logs)), 1.0)


def fingerprint() -> str:
    """Name the code that a stored row comes from."""
    files = sorted([*(ROOT / "itb" / "optimize").glob("*.py"), *(ROOT / "benchmarks" / "honesty").glob("*.py")])
    names = {"bootstrap", "effective_trials", "evidence", "judging", "overfitting", "reality_check"}
    names |= {"sharpe_statistics", "verdict", "markets", "searches", "power"}
    text = b"".join(file.read_bytes() for file in files if file.stem in names)
    return hashlib.sha256(text + str((TRIALS, COSTS)).encode()).hexdigest()[:12]


def show(rows: dict[str, Row]) -> None:
    """Print the tables."""
    print(f"Verdicts on noise: {TRIALS} random rules on three years of hours\n")
    print(f"{'market':<18}{'cost':>8}{'searches':>10}{'trust':>8}{'weak':>8}{'overfit':>9}{'p (<= 5 %)':>12}{'PBO':>7}")
    cells = [row for row in rows.values() if row["part"] == "noise"]
    for market in MARKETS:
        for cost in COSTS:
            here = [row for row in cells if (row["market"], row["cost"]) == (market, cost)]
            if not here:
                print(f"{market:<18}{cost:>8}  no real data")
                continue
            _line(market, cost, here)
    for cost in COSTS:
        _line("all", cost, [row for row in cells if row["cost"] == cost])
    pbo = [float(str(row["pbo"])) for row in rows.values() if row["part"] == "columns"]
    print(f"\nPBO of {TRIALS} independent columns: {np.mean(pbo):.3f} +- {np.std(pbo):.3f} in {len(pbo)} tables")
    print("\nPlanted edges: share of trust; in brackets the closed-form power of the rule, a lower bound\n")
    print(f"{'true Sharpe':<12}" + "".join(f"{edge:>16}" for edge in EDGES))
    for annual in SHARPES:
        line = f"{annual:<12}"
        for edge, (trials, owners) in EDGES.items():
            here = [row for row in rows.values() if row["part"] == "power" and row["edge"] == edge]
            words = [row["word"] for row in here if row["sharpe_true"] == annual]
            share = words.count("trust") / len(words)
            bound = f" ({closed_form(annual, trials):.0%})" if owners == 1 else ""
            line += f"{f'{share:.0%}{bound}':>16}"
        print(line)


def _line(market: str, cost: str, rows: list[Row]) -> None:
    counts = [sum(row["word"] == word for row in rows) for word in WORDS]
    shares = "".join(f"{count / len(rows):>{width}.1%}" for count, width in zip(counts, (8, 8, 9), strict=True))
    pbo = np.nanmean([float(str(row["overfitting"])) for row in rows])
    print(f"{market:<18}{cost:>8}{len(rows):>10}{shares}{at_least(counts[0], len(rows), 0.05):>12.3f}{pbo:>7.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Count how often the verdict trusts noise, and how often an edge.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the first seeds only (the default)")
    size.add_argument("--full", action="store_true", help=f"every seed, 0 to {SEEDS - 1}")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    asked = parser.parse_args()
    file = ROOT / ".cache" / "honesty" / f"{fingerprint()}.jsonl"
    show(collect(file, full=asked.full, workers=asked.workers))


if __name__ == "__main__":
    main()
