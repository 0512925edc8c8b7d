from __future__ import annotations

import numpy as np
import pytest

from itb.optimize.evidence import Evidence

TABLE = np.random.default_rng(0).normal(0, 0.01, (90, 4))


def test_exposure_to_the_market_leaves_nothing_over_holding(rng: np.random.Generator) -> None:
    hold = rng.normal(0.003, 0.03, 90)
    table = np.column_stack([hold, 0.4 * hold, 0.4 * hold + 0.001, np.zeros(90)])
    rest = Evidence(table, 0, table[:, 0], hold=hold).excess_of_hold()
    assert rest == pytest.approx(np.tile([0, 0, 0.001, 0], (90, 1)))


def test_holding_a_market_that_stands_still_is_holding_cash() -> None:
    still = Evidence(TABLE, 0, TABLE[:, 0], hold=np.zeros(90))
    assert still.excess_of_hold() == pytest.approx(TABLE)


def test_cash_that_earns_is_taken_from_all() -> None:
    evidence = Evidence(TABLE, 0, TABLE[:, 0], cash=np.full(90, 0.0001), hold=np.full(90, 0.0001))
    assert evidence.excess == pytest.approx(TABLE - 0.0001)
    assert evidence.excess_of_hold() == pytest.approx(TABLE - 0.0001)


def test_windows_are_those_given_or_thirty_days() -> None:
    nested = np.full(50, 0.01)
    by_number = Evidence(TABLE, 0, nested, nested_windows=np.repeat([4, 5, 7], [10, 10, 30]))
    assert by_number.window_returns() == pytest.approx(1.01 ** np.array([10, 10, 30]) - 1)
    assert Evidence(TABLE, 0, nested).window_returns() == pytest.approx(1.01 ** np.array([30, 20]) - 1)
    assert Evidence(TABLE, 0, nested[:40]).window_returns() == pytest.approx(1.01 ** np.array([40]) - 1)
    assert len(Evidence(TABLE, 0, nested[:0]).window_returns()) == 0


def test_the_register_counts_more_trials_than_have_returns() -> None:
    assert Evidence(TABLE, 0, TABLE[:, 0]).trials == 4
    assert Evidence(TABLE, 0, TABLE[:, 0], raw_trials=700, failed_trials=30).trials == 700


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"returns": TABLE[:, 0]}, "table of days x trials"),
        ({"returns": TABLE[:5]}, "at least 10 days of returns, was 5"),
        ({"selected": 4}, "one of 4 columns, was 4"),
        ({"hold": np.zeros(89)}, "hold must have 90 days, had 89"),
        ({"cash": np.zeros(3)}, "cash must have 90 days, had 3"),
        ({"nested_windows": np.zeros(3, dtype=np.int64)}, "nested_windows must have 90 days, had 3"),
        ({"nested": np.full(90, np.nan)}, "nested must be finite"),
        ({"returns": TABLE * np.inf}, "returns must be finite"),
        ({"raw_trials": 3}, "counts every trial ever run, was 3 with 4 columns"),
    ],
)
def test_evidence_that_contradicts_itself_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Evidence(**({"returns": TABLE, "selected": 0, "nested": TABLE[:, 0]} | change))
