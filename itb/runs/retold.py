"""A finished backtest, told event by event as a live run would have told it."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from dataclasses import dataclass
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
    from collections.abc import Iterator, Mapping, Sequence

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


def symbols_of(capsule: Capsule) -> tuple[str, ...]:
    """Give the markets that a run traded: one, or several on one account."""
    manifest = capsule.manifest
    return tuple(str(one) for one in manifest.get("symbols") or [manifest.get("symbol", "")])


def seen_bars(workspace: Workspace, capsule: Capsule, symbol: str) -> Bars:
    """Give the bars of a market that a run saw, gaps treated as it treated them."""
    config = capsule_config(workspace, capsule)
    manifest = capsule.manifest
    try:
        window = (int(manifest["from_ms"]), int(manifest["to_ms"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"run {capsule.run_id}: its capsule is damaged ({error}); make the run again") from None
    seen = dataclasses.replace(workspace, config=config, window=window)
    return treat(load_bars(seen, symbol), config.data.gaps)


@dataclass(frozen=True, eq=False)
class _Played:
    """One market of a run: its bars, its scores and what happened, by the open times of bars."""

    bars: Bars
    rows: Mapping[int, int]
    scores: Mapping[str, Sequence[float]]
    happened: Mapping[int, Sequence[Event]]
    wishes: Mapping[int, Side]
    column: str

    def tell(self, opened: int) -> Iterator[Event]:
        """Tell what happened in the bar that opened at a time, and what was said at its close."""
        row = self.rows.get(opened)
        if row is None:
            return
        bars, closed = self.bars, int(self.bars.close_time[row])
        yield from self.happened.get(opened, ())
        said = {name: values[row] for name, values in self.scores.items()}
        yield ScoreSaid(
            closed, bars.symbol, str(bars.timeframe), float(bars.open[row]), float(bars.high[row]),
            float(bars.low[row]), float(bars.close[row]), said,
        )  # fmt: skip
        if side := self.wishes.get(opened):
            score = said.get(self.column, math.nan)
            yield SignalSent(closed, bars.symbol, side, float(bars.close[row]), score, self.column)


def retell(workspace: Workspace, capsule: Capsule) -> Iterator[Event]:
    """Give everything that a live run would have told, in the order of time.

    Reads the capsule's tables and the bars that the run saw, and computes nothing again. Raises
    :class:`itb.errors.RunError` when the bars are not there any more.
    """
    played = [_played(workspace, capsule, symbol) for symbol in symbols_of(capsule)]
    table = capsule.table("equity")
    times, equity = table["timestamp"].cast("int64").to_pylist(), table["equity"].to_pylist()
    start = str(capsule.manifest.get("trading_from", ""))
    quote = played[0].bars.symbol.partition("/")[2].partition(":")[0]
    bar_ms = played[0].bars.timeframe.ms
    for opened, worth in zip(times, equity, strict=True):
        for one in played:
            yield from one.tell(opened)
        if utc(opened) >= start:
            yield EquityAt(opened + bar_ms, worth, quote)


def _played(workspace: Workspace, capsule: Capsule, symbol: str) -> _Played:
    bars = seen_bars(workspace, capsule, symbol)
    told = "positions" if "symbols" in capsule.manifest else "equity"
    times = _own(capsule.table(told), symbol)["timestamp"].cast("int64").to_pylist()
    if times != bars.open_time.tolist():
        raise RunError(f"run {capsule.run_id}: its bars of {symbol} are not there any more; `itb backtest` runs again")
    scores: dict[str, Sequence[float]] = {}
    if (capsule.folder / "scores.parquet").exists():
        table = _own(capsule.table("scores"), symbol)
        scores = {name: table[name].to_pylist() for name in table.column_names if name not in ("timestamp", "symbol")}
    column = str(capsule.manifest.get("strategy", {}).get("score", "")) or next(iter(scores), "")
    rows = {int(opened): row for row, opened in enumerate(bars.open_time)}
    fills = [row for row in _rows(capsule.table("fills")) if row["symbol"] == symbol]
    return _Played(
        bars, rows, scores, _happened(capsule, symbol, fills, bars.timeframe.ms), _wishes(capsule, fills, times), column
    )


def _own(table: pa.Table, symbol: str) -> pa.Table:
    """Give the rows of a symbol, where a table has several."""
    import pyarrow.compute as pc

    return table.filter(pc.equal(table["symbol"], symbol)) if "symbol" in table.column_names else table


def _happened(
    capsule: Capsule, symbol: str, fills: Sequence[Mapping[str, Any]], bar_ms: int
) -> Mapping[int, Sequence[Event]]:
    """Give fills and ended trades by the bar's open time; a trade comes after the fill that ended it."""
    found: dict[int, list[Event]] = defaultdict(list)
    for number, fill in enumerate(fills):
        if fill["reason"] == "funding":
            continue
        time = fill["open_time"] + (0 if fill["reason"] in _AT_OPEN else bar_ms)
        side: Side = "buy" if fill["qty"] > 0 else "sell"
        seen = FillSeen(
            time, symbol, side, abs(fill["qty"]), fill["price"], fill["fee_quote"], fill["reason"], str(number + 1)
        )
        found[fill["open_time"]].append(seen)
    for row in _rows(capsule.table("trades")):
        trade = Trade(**row)
        if trade.symbol == symbol and not trade.is_open:
            time = trade.exit_time + (0 if trade.exit_reason in _AT_OPEN else bar_ms)
            found[trade.exit_time].append(of_trade(trade, time))
    return found


def _wishes(capsule: Capsule, fills: Sequence[Mapping[str, Any]], times: Sequence[int]) -> Mapping[int, Side]:
    """Give the side that the strategy wanted to trade at each bar's close, by the orders that were filled."""
    filled = {fill["order_id"] for fill in fills}
    wanted: dict[int, Side] = {}
    for order in _rows(capsule.table("orders")):
        if order["order_id"] in filled and order["reason"] in ("entry", "signal") and order["qty"]:
            wanted.setdefault(times[order["bar"]], "buy" if order["qty"] > 0 else "sell")
    return wanted


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
