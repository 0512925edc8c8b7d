"""A finished backtest, told event by event as a live run would have told it."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from itb.errors import RunError
from itb.ledger.trades import Trade
from itb.live.notify.events import EquityAt, FillSeen, ScoreSaid, SignalSent
from itb.live.notify.from_live import of_trade
from itb.market.bars import utc
from itb.market.gaps import treat
from itb.runs.history import capsule_config
from itb.runs.market import load_bars

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from itb.live.notify.events import Event, Side
    from itb.market.bars import Bars
    from itb.runs.capsule import Capsule
    from itb.runs.workspace import Workspace

_AT_OPEN = (
    "entry",
    "signal",
    "time",
)  # what fills at a bar's open; the rest happens inside it and is known at its close


def retell(workspace: Workspace, capsule: Capsule) -> Iterator[Event]:
    """Give everything that a live run would have told, in the order of time.

    Reads the capsule's tables and the bars that the run saw, and computes nothing again. Raises
    :class:`itb.errors.RunError` when the bars are not there any more.
    """
    manifest = capsule.manifest
    bars = seen_bars(workspace, capsule)
    closes = {int(opened): row for row, opened in enumerate(bars.open_time)}
    times = capsule.table("equity")["timestamp"].cast("int64").to_pylist()
    gone = next((time for time in times if time not in closes), None)
    if gone is not None:
        raise RunError(f"run {capsule.run_id}: its bars are not there any more; `itb backtest` makes a new run")
    equity = capsule.table("equity")["equity"].to_pylist()
    scores = _scores(capsule)
    column = str(manifest.get("strategy", {}).get("score", "")) or next(iter(scores), "")
    happened = _happened(capsule, bars.timeframe.ms)
    wishes = _wishes(capsule)
    symbol, quote = str(manifest["symbol"]), str(manifest["symbol"]).partition("/")[2].partition(":")[0]
    start = str(manifest.get("trading_from", ""))
    for bar, opened in enumerate(times):
        row = closes[opened]
        closed = int(bars.close_time[row])
        yield from happened[bar]
        said = {name: values[bar] for name, values in scores.items()}
        yield ScoreSaid(
            closed, symbol, str(bars.timeframe), float(bars.open[row]), float(bars.high[row]), float(bars.low[row]),
            float(bars.close[row]), said,
        )  # fmt: skip
        if side := wishes.get(bar):
            yield SignalSent(closed, symbol, side, float(bars.close[row]), said.get(column, math.nan), column)
        if utc(opened) >= start:
            yield EquityAt(closed, equity[bar], quote)


def seen_bars(workspace: Workspace, capsule: Capsule) -> Bars:
    """Give the bars that a run saw, gaps treated as it treated them."""
    config = capsule_config(workspace, capsule)
    manifest = capsule.manifest
    if "symbols" in manifest:
        raise RunError(f"run {capsule.run_id}: it traded several symbols on one account; expected a run of one symbol")
    try:
        window, symbol = (int(manifest["from_ms"]), int(manifest["to_ms"])), str(manifest["symbol"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"run {capsule.run_id}: its capsule is damaged ({error}); make the run again") from None
    seen = dataclasses.replace(workspace, config=config, window=window)
    return treat(load_bars(seen, symbol), config.data.gaps)


def _scores(capsule: Capsule) -> Mapping[str, list[float]]:
    if not (capsule.folder / "scores.parquet").exists():
        return {}
    table = capsule.table("scores")
    return {name: table[name].to_pylist() for name in table.column_names if name != "timestamp"}


def _happened(capsule: Capsule, bar_ms: int) -> Mapping[int, list[Event]]:
    """Give fills and ended trades by bar; a trade comes after the fill that ended it."""
    found: dict[int, list[Event]] = defaultdict(list)
    for number, fill in enumerate(_rows(capsule.table("fills"))):
        if fill["reason"] == "funding":
            continue
        time = fill["open_time"] + (0 if fill["reason"] in _AT_OPEN else bar_ms)
        side: Side = "buy" if fill["qty"] > 0 else "sell"
        found[fill["bar"]].append(
            FillSeen(
                time,
                fill["symbol"],
                side,
                abs(fill["qty"]),
                fill["price"],
                fill["fee_quote"],
                fill["reason"],
                str(number + 1),
            )
        )
    for row in _rows(capsule.table("trades")):
        trade = Trade(**row)
        if not trade.is_open:
            time = trade.exit_time + (0 if trade.exit_reason in _AT_OPEN else bar_ms)
            found[trade.exit_bar].append(of_trade(trade, time))
    return found


def _wishes(capsule: Capsule) -> Mapping[int, Side]:
    """Give the side that the strategy wanted to trade at each bar's close, by the orders that it sent there."""
    wanted: dict[int, Side] = {}
    for order in _rows(capsule.table("orders")):
        if order["reason"] in ("entry", "signal") and order["qty"]:
            wanted.setdefault(order["bar"], "buy" if order["qty"] > 0 else "sell")
    return wanted


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
