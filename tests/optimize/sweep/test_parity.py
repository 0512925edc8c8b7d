"""A confirmation names the first bar in which the sweep is not backtrader, and why."""

import dataclasses

import numpy as np
import pytest

from itb.optimize.parity import confirm


@pytest.fixture
def case(random_case):
    return random_case(2, sizing="percent_of_equity", stop_loss=0.01)


def changed(swept, **fields):
    """Give the same result with other fields in its trades or their money."""
    books = swept.books
    trips = {name: value for name, value in fields.items() if hasattr(books.trips, name)}
    money = {name: value for name, value in fields.items() if name not in trips}
    books = dataclasses.replace(books, trips=dataclasses.replace(books.trips, **trips), **money)
    return dataclasses.replace(swept, books=books)


def test_a_trial_is_confirmed(case):
    done = confirm(case.sweep, case.settings)
    assert done.agrees
    assert done.bar == -1
    assert done.confirmed.source == "backtrader"
    assert len(done.confirmed.fills) > 20


def test_another_price_is_found_at_its_bar(case):
    swept = case.sweep.run(case.settings)
    price = swept.books.trips.exit_price.copy()
    price[3] *= 1 + 1e-8
    done = confirm(case.sweep, case.settings, changed(swept, exit_price=price))
    assert done.bar == swept.books.trips.exit_bar[3]
    assert "price is" in done.difference
    assert "(cause: a fill price, slippage or protective level" in done.difference


def test_a_rounding_error_is_no_difference(case):
    swept = case.sweep.run(case.settings)
    price = swept.books.trips.exit_price * (1 + 1e-12)
    assert confirm(case.sweep, case.settings, changed(swept, exit_price=price)).agrees


def test_a_trade_in_another_bar_is_found(case):
    swept = case.sweep.run(case.settings)
    bar = swept.books.trips.exit_bar.copy()
    bar[-1] += 1
    done = confirm(case.sweep, case.settings, changed(swept, exit_bar=bar))
    assert done.bar == bar[-1] - 1
    assert "takes a signal, a stop or a target there that the other does not" in done.difference


def test_equity_that_fills_do_not_explain_is_found(case):
    swept = case.sweep.run(case.settings)
    cash = swept.books.cash.copy()
    cash[5] += 1.0
    done = confirm(case.sweep, case.settings, changed(swept, cash=cash))
    assert "fills are the same, but equity" in done.difference
    assert done.bar == np.flatnonzero(np.abs(changed(swept, cash=cash).equity / swept.equity - 1) > 1e-9)[0]
