"""Every protection against a slow way to the same locks, over random trades."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.strategies.protections import PROTECTIONS
from itb.strategies.protections.locks import Gate, locks


@pytest.mark.parametrize("name", PROTECTIONS)
def test_locks_are_those_of_the_slow_way(name, slow):
    seen = {True: 0, False: 0}

    @given(rule=slow.rules[name], trades=slow.histories, hours=st.sets(st.integers(0, 45), min_size=4, max_size=9))
    def check(rule, trades, hours):
        for hour in hours:
            known = [trade for trade in trades if trade.exit_time <= hour * slow.HOUR]
            standing = list(locks([rule], known, slow.HOUR))
            for symbol, side in slow.entries:
                found = any(lock.holds(hour * slow.HOUR, symbol, side) for lock in standing)
                assert found == slow.forbidden(rule, known, hour, symbol, side)
                seen[found] += 1

    check()
    assert min(seen.values()) > 50


def test_a_gate_made_anew_from_the_history_knows_what_one_that_grew_with_it_knows(slow):
    @given(trades=slow.histories, rules=st.lists(slow.any_rule, max_size=3))
    def check(trades, rules):
        grown = Gate(rules, slow.HOUR)
        for hour in range(0, 45, 3):
            known = [trade for trade in trades if trade.exit_time <= hour * slow.HOUR]
            for symbol, side in slow.entries:
                asked = (known, hour * slow.HOUR, symbol, side)
                assert grown.forbids(*asked) == Gate(rules, slow.HOUR).forbids(*asked)

    check()


def test_bars_and_lengths_of_time_mean_the_same(slow):
    @given(rule=slow.any_rule, trades=slow.histories)
    def check(rule, trades):
        lengths = {name: f"{getattr(rule, name)}h" for name in ("lookback", "stop_duration") if hasattr(rule, name)}
        same = type(rule)(**{**vars(rule), **lengths})
        assert list(locks([rule], trades, slow.HOUR)) == list(locks([same], trades, slow.HOUR))

    check()


def test_every_protection_is_in_the_table_by_its_name(slow):
    assert list(PROTECTIONS) == list(slow.rules)
    assert all(kind().name == name for name, kind in PROTECTIONS.items())
