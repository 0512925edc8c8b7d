"""The live view shows everything that a status holds, in any state, at any width."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from itb.live.cockpit import BarLine, PositionLine, ScoreLine, Status, StrategyLine
from itb.live.run.view import drawn, watch

SEEN = Status(
    "demo", "paper", pid=4711, time=1_709_258_400_000, started_at=1_709_251_200_000, health="DEGRADED",
    reasons=("the venue answers slowly",), waiting_for=("reconciliation",), steps=1_234, open_orders=2,
    equity=Decimal(1010), day_start=Decimal(1000), peak=Decimal(1020),
    bars=(BarLine("BTC/USDT", 1_709_258_340_000, Decimal("61234.50")),),
    scores=(ScoreLine("BTC/USDT", "high_gb", 0, 0.25), ScoreLine("BTC/USDT", "high_nn", 0, None)),
    positions=(
        PositionLine("s", "BTC/USDT", Decimal("0.5"), Decimal(60000), 1, Decimal("61234.5"), Decimal("617.25")),
    ),
    strategies=(StrategyLine("s", Decimal(1010), 3, Decimal("-4.5")), StrategyLine("wild", is_shadow=True)),
)  # fmt: skip
EVENTS: list[Mapping[str, Any]] = [
    {"time": "2024-03-01T01:59:59.000Z", "event": "TICK", "bot": "demo", "n": 1},
    {"time": "2024-03-01T01:59:59.000Z", "event": "FILL", "bot": "demo", "qty": "0.5", "note": None, "text": "a\nb"},
    {"time": "2024-03-01T02:00:00.000Z", "event": "NEW_KIND", "bot": "demo", "markup": "[red]not markup[/red]"},
]


def shown(seen: Status, events: Sequence[Any] = (), width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(drawn(seen, events))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_everything_that_matters_is_there() -> None:
    text = shown(SEEN, EVENTS)
    for said in (
        "demo · paper", "DEGRADED", "the venue answers slowly", "no order yet: reconciliation", "2 h", "1,234 steps",
        "process 4711", "equity 1,010", "+1.00 % today", "−0.98 % since the peak", "2 unfinished orders", "61234.50",
        "high_gb +0.2500", "high_nn –", "+617.25", "−4.50", "wild (shadow)", "01:59:59 FILL", "qty=0.5 text=a b",
        "NEW_KIND", "[red]not markup[/red]",
    ):  # fmt: skip
        assert said in text
    assert "TICK" not in text
    assert "note" not in text


@pytest.mark.parametrize("seen", [Status("demo"), Status("demo", is_running=False), replace(SEEN, health="HALTED")])
@pytest.mark.parametrize("width", [10, 40, 200])
def test_any_state_at_any_width(seen: Status, width: int) -> None:
    lines = shown(seen, EVENTS, width).splitlines()
    assert max(map(len, lines)) <= width


def test_it_is_drawn_until_it_is_over() -> None:
    waited: list[float] = []
    looks: Iterator[tuple[Status, Sequence[Mapping[str, Any]]]] = iter(
        [(SEEN, EVENTS), (SEEN, ()), (replace(SEEN, steps=1_235), ())]
    )
    console = Console(file=io.StringIO(), width=100, force_terminal=True)

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return False

    watch(lambda: next(looks, None), wait, console, every_s=0.5)
    assert waited == [0.5, 0.5, 0.5]
    assert isinstance(console.file, io.StringIO)
    assert "1,235 steps" in console.file.getvalue()
    watch(lambda: None, wait, console)
    watch(lambda: (SEEN, ()), lambda _: True, console)
    assert len(waited) == 3


def test_a_short_perpetual_shows_where_its_exchange_would_close_it() -> None:
    short = PositionLine("s", "BTC/USDT:USDT", Decimal(-2), Decimal(105), 1, Decimal(110), Decimal(-10))
    assert short.liquidation == 200
    assert PositionLine("s", "BTC/USDT", Decimal(2), Decimal(105)).liquidation is None
    assert PositionLine("s", "BTC/USDT:USDT", Decimal(2), Decimal(105)).liquidation is None
