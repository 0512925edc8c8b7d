from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import pytest

from itb.ledger.difference import first_difference
from itb.market.fills import Fill

HOUR = 3_600_000


def fill(bar: int, qty: float = 1.0, price: float = 100.0) -> Fill:
    return Fill(bar, bar * HOUR, bar, "BTC/USDT", qty, price, 0.1, 0.1, reason="signal")


@dataclass(frozen=True)
class Decision:
    bar: int
    score: float


class Flag(NamedTuple):
    bar: int
    enters: bool


def test_equal_lists_do_not_differ() -> None:
    fills = [fill(1), fill(3, -1.0)]
    assert first_difference(fills, list(fills)) is None
    assert first_difference([], []) is None


def test_the_first_field_that_differs_is_named_with_both_values() -> None:
    difference = first_difference([fill(1), fill(3)], [fill(1), fill(3, 2.0, 101.0)], names=("fast", "plain"))
    assert difference is not None
    assert (difference.index, difference.bar, difference.what) == (1, 3, "qty")
    assert "qty is 1.0 in fast, 2.0 in plain (buy of 1.0 BTC/USDT, signal)" in str(difference)


def test_a_fill_that_one_list_lacks_is_named_rather_than_compared_with_the_next() -> None:
    left, right = [fill(1), fill(5)], [fill(1), fill(3, -2.0), fill(5)]
    difference = first_difference(left, right, names=("fast", "plain"))
    assert difference is not None
    assert difference.what == "missing"
    assert str(difference) == (
        "entry 1, bar 3 (1970-01-01 03:00 UTC): plain has a sell of 2.0 BTC/USDT at 100.0 (signal), "
        "fast has nothing before bar 5: a buy of 1.0 BTC/USDT at 100.0 (signal)"
    )


def test_a_list_that_ends_early_is_named() -> None:
    difference = first_difference([fill(1)], [fill(1), fill(2)])
    assert difference is not None
    assert str(difference).endswith("left has nothing more")
    other = first_difference([fill(1), fill(2)], [fill(1)])
    assert other is not None
    assert str(other).endswith("right has nothing more")


def test_bits_count_without_a_tolerance_and_not_within_one() -> None:
    near = [fill(1, price=100.0 * (1 + 1e-12))]
    assert first_difference([fill(1)], near) is not None
    assert first_difference([fill(1)], near, tolerance=1e-9) is None


def test_order_numbers_are_not_compared_unless_asked() -> None:
    renumbered = [replace(fill(1), order_id=77)]
    assert first_difference([fill(1)], renumbered) is None
    difference = first_difference([fill(1)], renumbered, ignore=())
    assert difference is not None
    assert difference.what == "order_id"


def test_funding_is_described_as_what_it_is() -> None:
    paid = replace(fill(2), qty=0.0, reason="funding")
    assert "a funding of 0.1 on BTC/USDT" in str(first_difference([paid], []))


@pytest.mark.parametrize("entries", [(Decision(4, 0.5), Decision(4, 0.6)), (Flag(4, True), Flag(4, False))])
def test_decisions_of_any_shape_are_compared(entries: tuple[Decision | Flag, Decision | Flag]) -> None:
    difference = first_difference([entries[0]], [entries[1]])
    assert difference is not None
    assert str(difference).startswith("entry 0, bar 4: ")


def test_scores_that_are_not_numbers_are_the_same() -> None:
    nan = float("nan")
    assert first_difference([Decision(1, nan)], [Decision(1, nan)]) is None
    assert first_difference([Decision(1, nan)], [Decision(1, 0.0)]) is not None
    assert "Decision(bar=1, score=0.5)" in str(first_difference([Decision(1, 0.5)], []))
