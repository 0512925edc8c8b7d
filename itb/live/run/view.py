"""The live view: how a bot is, what it holds, what happened last, on one screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from itb.charts import wording

if TYPE_CHECKING:
    from decimal import Decimal

    from rich.console import RenderableType

    from itb.live.cockpit import Status

_COLOURS = {"NORMAL": "green", "DEGRADED": "yellow", "HALTED": "red"}
_EVENT_COLOURS = {
    "FILL": "cyan", "TRADE_OPEN": "cyan", "TRADE_CLOSE": "magenta", "DEGRADED": "yellow", "HALTED": "red",
    "RECOVERED": "green", "RESUMED": "green", "LOST": "red", "SIGNAL": "blue",
}  # fmt: skip
_QUIET = {"TICK", "BAR"}
_HEAD = {"time", "event", "bot"}
_MOST = 10  # events that are shown


def drawn(seen: Status, events: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Draw a status and the newest events (as :attr:`itb.live.run.event_log.EventLog.recent` gives them)."""
    from rich.console import Group
    from rich.panel import Panel

    below = (_positions(seen), _strategies(seen), _events(events))
    parts = [_head(seen), _markets(seen), *(part for part in below if part is not None)]
    colour = _COLOURS[seen.health] if seen.is_running else "bright_black"
    title = f"{seen.bot} · {seen.mode}" if seen.mode else seen.bot
    return Panel(Group(*parts), title=title, border_style=colour)


def _head(seen: Status) -> RenderableType:
    from rich.text import Text

    head = Text()
    if seen.is_running:
        head.append(seen.health, style=f"bold {_COLOURS[seen.health]}")
        lasting = wording.duration(max(0, seen.time - seen.started_at))
        head.append(f"  {_clock(seen.time)}  running for {lasting}, {seen.steps:,} steps, process {seen.pid}")
    else:
        head.append("NOT RUNNING", style="bold")
        head.append(f"  the journal ends at {_clock(seen.time)}" if seen.time else "  the journal is empty")
    for reason in seen.reasons:
        head.append(f"\n  {reason}", style=_COLOURS[seen.health])
    for reason in seen.waiting_for:
        head.append(f"\n  no order yet: {reason}", style="yellow")
    if seen.equity is not None:
        head.append(f"\nequity {_number(seen.equity)}")
        for since, start in (("today", seen.day_start), ("since the peak", seen.peak)):
            if start:
                change = float(seen.equity / start) - 1
                head.append(f"  {wording.percent(change, 2)}", style=_sign(change)).append(f" {since}")
    head.append(f"\n{seen.open_orders} unfinished orders")
    return head


def _markets(seen: Status) -> RenderableType:
    from rich.text import Text

    lines = Text()
    for bar in seen.bars:
        lines.append(f"{bar.symbol}  ", style="bold").append(f"{bar.close:f}  ").append(_clock(bar.open_time), "dim")
        for score in seen.scores:
            if score.symbol == bar.symbol:
                said = "–" if score.value is None else f"{score.value:+.4f}"
                lines.append(f"  {score.column} ").append(said, style="bold" if score.value is not None else "dim")
        lines.append("\n")
    lines.rstrip()
    return lines


def _positions(seen: Status) -> RenderableType | None:
    if not seen.positions:
        return None
    has_margin = any(line.liquidation for line in seen.positions)
    table = _table("position", "strategy", "qty", "entry", "price", "profit", *["liquidation"][: int(has_margin)])
    for line in seen.positions:
        table.add_row(
            line.symbol,
            line.strategy,
            f"{line.qty:f}",
            _number(line.entry_price),
            _number(line.price),
            _money(line.profit),
            *[_number(line.liquidation)][: int(has_margin)],
        )
    return table  # type: ignore[no-any-return]  # rich is imported where it is used


def _strategies(seen: Status) -> RenderableType | None:
    if not seen.strategies:
        return None
    table = _table("strategy", "trades", "profit", "worth")
    for line in seen.strategies:
        name = f"{line.name} (shadow)" if line.is_shadow else line.name
        table.add_row(name, f"{line.trades:,}", _money(line.profit), _number(line.equity))
    return table  # type: ignore[no-any-return]  # as above


def _events(events: Sequence[Mapping[str, Any]]) -> RenderableType | None:
    from rich.text import Text

    shown = [event for event in events if event.get("event") not in _QUIET][-_MOST:]
    if not shown:
        return None
    lines = Text("last events", style="bold")
    for event in shown:
        name = str(event.get("event", ""))
        lines.append(f"\n{str(event.get('time', ''))[11:19]} ", style="dim").append(
            f"{name:<12}", style=_EVENT_COLOURS.get(name, "default")
        )
        told = ("" if value is None else f" {key}={value}" for key, value in event.items() if key not in _HEAD)
        lines.append("".join(told).replace("\n", " ")[:160], style="default")
    return lines


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < 2 else "right")
    return table


def _clock(time: int) -> str:
    return f"{datetime.fromtimestamp(time / 1000, UTC):%Y-%m-%d %H:%M:%S}" if time else "–"


def _number(value: Decimal | None) -> str:
    return "" if value is None else wording.significant(float(value), 8)


def _money(value: Decimal | None) -> Any:
    from rich.text import Text

    return Text("" if value is None else wording.number(float(value), signed=True), style=_sign(float(value or 0)))


def _sign(value: float) -> str:
    return "green" if value > 0 else "red" if value < 0 else "default"


def watch(
    look: Callable[[], tuple[Status, Sequence[Mapping[str, Any]]] | None],
    wait: Callable[[float], bool],
    console: Any,
    every_s: float = 1.0,
) -> None:
    """Draw again and again until ``look`` gives ``None`` or ``wait`` (for ``every_s``) says that it is over."""
    from rich.live import Live

    seen = look()
    if seen is None:
        return
    with Live(drawn(*seen), console=console, auto_refresh=False, screen=False) as live:
        while not wait(every_s):
            seen = look()
            if seen is None:
                return
            live.update(drawn(*seen), refresh=True)
