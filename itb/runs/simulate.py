"""`itb simulate`: what rules on scores would have earned, after costs, by every combination of a grid."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts.data import Table
from itb.charts.wording import number
from itb.config import parts
from itb.config.plugins import load_plugins
from itb.errors import ConfigError
from itb.indicators.signals.grid import SignalGrid
from itb.ledger.alternating import SidePerformance, alternate, fill_prices, months_of, performance
from itb.ledger.legacy_metric import legacy_performance
from itb.market.bars import utc
from itb.runs.capsule import new_run_id
from itb.runs.looks import earlier_looks, enter_look, look_note
from itb.runs.outputs import Output, output
from itb.runs.said import Said
from itb.runs.signals import checked_signals
from itb.runs.tape import load_tape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from itb.indicators.signals import SignalSet
    from itb.ledger.alternating import Performance
    from itb.market.bars import Bars, FloatArray
    from itb.runs.tape import Tape
    from itb.runs.workspace import Workspace

Row = dict[str, float | int]

_AT_ONCE = 500  # trials between two writes: what is lost when the process is killed
_FIGURES = (
    "transactions",
    "profit",
    "profit_percent",
    "profitable",
    "profitable_percent",
    "profit_per_transaction",
    "profit_percent_per_transaction",
    "transactions_per_month",
    "profit_per_month",
    "profit_percent_per_month",
)
_SIDES = ("long", "short", "both")


def simulate(
    workspace: Workspace,
    *,
    bars: Path | None = None,
    scores: Path | None = None,
    out: Path | None = None,
    legacy_metric: bool = False,
) -> Said:
    """Try every combination of ``[simulate] grid`` on the configured signals, market by market.

    Each trial buys and sells in turn, one unit at a time, and pays the configured costs. All trials go to a file, the
    best are shown; ``legacy_metric`` adds what intelligent-trading-bot printed, which is no profit. All are entered
    into the register as looks. Trials that an earlier run has made of the same are taken from the file.
    """
    config = workspace.config
    load_plugins(config)
    told, lines, shown = [], [], []
    for symbol in config.data.symbols:
        run_id = new_run_id(workspace.clock(), symbol, config.data.timeframe)
        tape = load_tape(workspace, symbol, bars, scores, run_id=run_id)
        bench = _bench(workspace, tape)
        file = output(workspace, "simulate", tape.market, out, tape.made_of, bench.made_of)
        rows, fresh = _all_trials(workspace, bench, file)
        ranked = sorted(rows, key=lambda row: -row[f"{config.simulate.direction}_profit_percent"])
        best = ranked[: config.simulate.topn_to_store]
        title, looks = tape.market.bars.label, earlier_looks(workspace, tape.market, bench.window)
        metrics = {name: best[0][f"{config.simulate.direction}_{name}"] for name in _FIGURES}
        enter_look(
            workspace,
            tape.market,
            bench.window,
            run_id=run_id,
            command="simulate",
            metrics=metrics,
            trials=len(rows),
        )
        times = bench.window.open_time
        lines.append(
            f"{title}: {len(rows):,} trials ({fresh:,} new) on {len(times):,} bars from {utc(times[0])} to "
            f"{utc(times[-1])}, ranked by {config.simulate.direction} profit in percent a month"
        )
        notes = [*bench.notes, tape.market.holdout.note, look_note(looks + len(rows))[0]]
        lines += [*(f"  {note}" for note in notes), f"  all trials in {file.path}"]
        shown += [_shown(title, bench, row, config.simulate.direction, legacy=legacy_metric) for row in best]
        told.append(
            {
                "run": run_id,
                "symbol": tape.market.bars.symbol,
                "trials": len(rows),
                "fresh": fresh,
                "from": utc(times[0]),
                "to": utc(times[-1]),
                "best": [_kept(row, legacy=legacy_metric) for row in best],
                "file": str(file.path),
                "notes": notes,
            }
        )
    names = [name.replace("_", " ") for name in bench.parameters]
    head = ("market", *names, *_HEADINGS, *(("legacy % a month",) if legacy_metric else ()))
    return Said({"simulate": told}, tuple(lines), Table(head, tuple(shown)))


_HEADINGS = ("deals", "profitable %", "profit %", "profit % a month", "profit (quote)")


@dataclass(frozen=True, eq=False)
class _Bench:
    """What trials are made of: the signals, the scores, the prices of flags (NaN outside the window) and costs."""

    workspace: Workspace
    grid: SignalGrid | None
    columns: Mapping[str, FloatArray]
    prices: FloatArray
    window: Bars
    made_of: str
    notes: tuple[str, ...]

    @property
    def parameters(self) -> list[str]:
        """Names of what is varied."""
        return list(self.combinations()[0])

    def combinations(self) -> list[dict[str, float]]:
        return [{}] if self.grid is None else self.grid.combinations()

    def rows(self, combinations: Sequence[Mapping[str, float]]) -> Iterator[Row]:
        costs, months = self.workspace.config.costs, months_of(self.window)
        if self.grid is None:
            settings = _flag_names(self.workspace)
            buys, sells = (self.columns[name] == 1 for name in settings)
            deals = alternate(buys, sells, self.prices)
            yield _row({}, performance(deals, costs, months), legacy_performance(deals, months))
            return
        for trial in self.grid.trials(combinations, self.columns, self.prices, costs=costs, months=months):
            yield _row(dict(trial.parameters), trial.performance, trial.legacy)


def _bench(workspace: Workspace, tape: Tape) -> _Bench:
    config, bars = workspace.config, tape.market.bars
    section = config.simulate
    signals = checked_signals(config, tape.columns)
    needed = signals.inputs if signals.signals else _flag_names(workspace)
    absent = [name for name in needed if name not in tape.columns]
    if absent:
        raise ConfigError(
            config.complaint(
                ("signals",),
                f"there are none, and there is no column {absent[0]!r} of flags (found "
                f"{', '.join(tape.columns) or 'none'}); write [[signals]] that end in a threshold_rule",
            )
        )
    if section.fill == "next_open" and not tape.has_opens:
        told = "the file has no column open; add it, or take each flag's own close with --set simulate.fill=close"
        raise ConfigError(config.complaint(("simulate", "fill"), told))
    known = np.logical_and.reduce([np.isfinite(tape.columns[name]) for name in needed])
    first = int(known.argmax()) if known.any() else 0
    start, stop = bars.open_time[first], bars.close_time[-1]
    if section.start_ms is not None:
        start = max(start, section.start_ms)
    if section.stop_ms is not None:
        stop = min(stop, section.stop_ms)
    window = bars.between(int(start), int(stop))
    if not known.any() or not len(window):
        raise ConfigError(config.complaint(("simulate",), "no bar with a score lies between from and to"))
    inside = (bars.open_time >= start) & (bars.open_time < stop)
    prices = np.where(inside, fill_prices(bars, section.fill), np.nan)
    notes = ["Parameters chosen here are chosen on the prices that they are judged by: later bars say what they earn."]
    if section.fill == "close":
        notes.append("Deals are made at the close of the flag's own bar, at which nobody can trade any more.")
    text = repr((signals, needed, section.fill, start, stop, config.costs))
    return _Bench(
        workspace,
        _grid(workspace, signals),
        {name: tape.columns[name] for name in needed},
        prices,
        window,
        text,
        tuple(notes),
    )


def _flag_names(workspace: Workspace) -> tuple[str, str]:
    """Give the columns of flags that a file may bring itself: those that the strategy reads, or buy and sell."""
    settings = workspace.config.strategy.settings
    return str(settings.get("buy_column", "buy")), str(settings.get("sell_column", "sell"))


def _grid(workspace: Workspace, signals: SignalSet) -> SignalGrid | None:
    """Build the grid; without one there is a single trial, of the rule as it is configured."""
    config = workspace.config
    if not signals.signals:
        return None
    rule: Any = signals.signals[-1]
    own = [(field.name, (getattr(rule, field.name),)) for field in fields(rule) if "_signal_threshold" in field.name]
    grid = tuple(config.simulate.grid.items()) or tuple(own)
    equal = config.simulate.buy_sell_equal and bool(config.simulate.grid)

    def make() -> SignalGrid:
        return SignalGrid(signals, grid, config.simulate.direction, equal, config.simulate.topn_to_store)

    return parts.tell(config, ("simulate",), make, ("grid",))


def _all_trials(workspace: Workspace, bench: _Bench, file: Output) -> tuple[list[Row], int]:
    """Give every trial in the order of the grid, and how many of them are new; what is new is kept as it comes."""
    combinations = bench.combinations()
    cache = Output(workspace.cache / "simulate" / f"{_digest(file.made_of)}.parquet", file.made_of)
    names = sorted(combinations[0])
    kept = _kept_rows(cache, names)
    missing = [one for one in combinations if _key(one, names) not in kept]
    done = len(combinations) - len(missing)
    for some in _batches(missing):
        for row in bench.rows(some):
            kept[_key(row, names)] = row
            done += 1
            workspace.report(done, len(combinations), "simulating")
        cache.write(_table(list(kept.values())), {})
    rows = [kept[_key(one, names)] for one in combinations]
    file.write(_table(rows), {"trials": len(rows)})
    return rows, len(missing)


def _batches(items: Sequence[dict[str, float]]) -> Iterator[Sequence[dict[str, float]]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]


def _kept_rows(cache: Output, names: Sequence[str]) -> dict[tuple[str, ...], Row]:
    import pyarrow.parquet as pq

    if cache.facts() is None:
        return {}
    rows = pq.read_table(cache.path).to_pylist()
    return {_key(row, names): row for row in rows if all(row.get(name) is not None for name in names)}


def _key(row: Mapping[str, float], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(repr(row[name]) for name in names)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _table(rows: Sequence[Row]) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist([dict(row) for row in rows])


def _row(parameters: Mapping[str, float], earned: Performance, legacy: Performance) -> Row:
    row: Row = dict(parameters)
    for prefix, found in (("", earned), ("legacy_", legacy)):
        for name in _SIDES:
            side: SidePerformance = getattr(found, name)
            row |= {f"{prefix}{name}_{figure}": getattr(side, figure) for figure in _FIGURES}
    return row


def _kept(row: Row, *, legacy: bool) -> Row:
    return {name: value for name, value in row.items() if legacy or not name.startswith("legacy_")}


def _shown(title: str, bench: _Bench, row: Row, direction: str, *, legacy: bool) -> tuple[str, ...]:
    cells = [title, *(f"{row[name]:g}" for name in bench.parameters), f"{row[f'{direction}_transactions']:,}"]
    cells += [
        number(float(row[f"{direction}_{name}"]), digits)
        for name, digits in (
            ("profitable_percent", 1),
            ("profit_percent", 2),
            ("profit_percent_per_month", 2),
            ("profit", 2),
        )
    ]
    if legacy:
        cells.append(number(float(row[f"legacy_{direction}_profit_percent_per_month"]), 2))
    return tuple(cells)
