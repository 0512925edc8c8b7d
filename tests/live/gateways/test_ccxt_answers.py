"""What failed requests prove, case by case."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.errors import ConfigError
from itb.live.gateways.ccxt_answers import Answer, Failure, of_cancel, of_submit, pause_ms
from itb.live.gateways.ccxt_venues import EXCHANGES, traits_of
from itb.live.gateways.port import NotOpen, NotTaken, Rejected, Unknown

NOW = 1_700_000_000_000


def refusal(status: int, code: int | None, said: str = "", *kinds: str) -> Failure:
    body: dict[str, Any] = {"msg": said} if code is None else {"code": code, "msg": said}
    return Failure(kinds, said, Answer(status, {}, body))


CASES = [
    # the engine answered about the order itself
    (refusal(400, -1013, "Filter failure: LOT_SIZE"), Rejected, Unknown),
    (refusal(400, -2010, "Account has insufficient balance for requested action."), Rejected, Unknown),
    (refusal(400, -2010, "Stop price would trigger immediately."), Rejected, Unknown),
    (refusal(400, -1121, "Invalid symbol."), Rejected, Unknown),
    (refusal(401, -2015, "Invalid API-key, IP, or permissions for action."), Rejected, Unknown),
    (refusal(200, None, "no money", "InsufficientFunds", "ExchangeError"), Rejected, Unknown),
    # turned away before it
    (refusal(429, -1003, "Too much request weight used"), NotTaken, NotTaken),
    (refusal(429, -1015, "Too many new orders"), NotTaken, NotTaken),
    (refusal(418, -1003, "banned until 1700000090000."), NotTaken, NotTaken),
    (Failure(("ExchangeNotAvailable",), "", Answer(403, {}, None)), NotTaken, NotTaken),
    (refusal(400, -1021, "Timestamp for this request is outside of the recvWindow."), NotTaken, NotTaken),
    (Failure(("QuietError",), "quiet", was_sent=False), NotTaken, NotTaken),
    (Failure(("InvalidOrder", "ExchangeError", "BaseError"), "checked by ccxt", was_sent=False), Rejected, Unknown),
    (Failure(("ValueError",), "the clock is not known", was_sent=False), NotTaken, Unknown),
    # nobody knows
    (refusal(400, -2010, "Duplicate order sent."), Unknown, Unknown),
    (refusal(400, -1006, "An unexpected response was received from the message bus."), Unknown, Unknown),
    (refusal(408, -1007, "Timeout waiting for response from backend server."), Unknown, Unknown),
    (refusal(500, -1000, "An unknown error occurred"), Unknown, Unknown),
    (refusal(503, -1008, "Server is currently overloaded"), Unknown, Unknown),
    (refusal(400, -1001, "Internal error"), Unknown, Unknown),
    (Failure(("RequestTimeout",), ""), Unknown, Unknown),
    (Failure(("ExchangeError",), "a cut body, as async ccxt words it"), Unknown, Unknown),
    (Failure(("ExchangeError",), "", Answer(502, {}, None)), Unknown, Unknown),
    (Failure(("NoJson",), "a web page", Answer(200, {}, None)), Unknown, Unknown),
    (Failure(("InsufficientFunds",), "half an answer", Answer(200, {}, None)), Unknown, Unknown),
    (refusal(503, None, "busy", "InvalidOrder"), Unknown, Unknown),
    (refusal(200, None, "order exists", "DuplicateOrderId", "InvalidOrder"), Unknown, Unknown),
    (refusal(200, None, "something", "ExchangeError"), Unknown, Unknown),
    # a cancel of what is not open
    (refusal(400, -2011, "Unknown order sent."), Unknown, NotOpen),
    (refusal(400, None, "no such order", "OrderNotFound"), Unknown, NotOpen),
    (refusal(503, -2011, "Unknown order sent."), Unknown, Unknown),
]


@pytest.mark.parametrize(("failure", "submitted", "cancelled"), CASES, ids=lambda one: str(getattr(one, "words", "")))
def test_only_a_whole_answer_with_a_known_reason_is_believed(
    failure: Failure, submitted: type[Any], cancelled: type[Any]
) -> None:
    assert (type(of_submit(failure, 7)), type(of_cancel(failure, 7))) == (submitted, cancelled)


@given(
    st.sampled_from([0, 200, 400, 408, 500, 502, 503, 504]),
    st.sampled_from([-1000, -1001, -1006, -1007, -1008, -1016, -1034, 0, 12, None]),
    st.sampled_from(["NetworkError", "RequestTimeout", "OperationFailed", "ExchangeError", "BadResponse", "TypeError"]),
)
def test_what_may_have_reached_the_engine_is_never_called_refused(status: int, code: int | None, kind: str) -> None:
    answer = Answer(status, {}, None if code is None else {"code": code, "msg": "?"}) if status else None
    assert isinstance(of_submit(Failure((kind,), "?", answer), 0), Unknown)


@pytest.mark.parametrize(
    ("headers", "said", "wait"),
    [
        ({"Retry-After": "12"}, "", 12_000),
        ({"retry-after": "0"}, "", 1_000),
        ({"Retry-After": formatdate(NOW / 1_000 + 30, usegmt=True)}, "", 30_000),
        ({"Retry-After": "soon"}, "", 60_000),
        ({}, f"IP banned until {NOW + 45_000}.", 45_000),
        ({}, "Too many requests", 60_000),
    ],
)
def test_how_long_the_exchange_wants_silence(headers: dict[str, str], said: str, wait: int) -> None:
    assert pause_ms(Answer(429, headers, {"code": -1003, "msg": said}), NOW) == wait


def test_an_exchange_whose_orders_cannot_be_found_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"coinbase: orders cannot be found by the client's id .*allow unsafe"):
        traits_of("coinbase", ("BTC/USD",))
    assert traits_of("coinbase", ("BTC/USD",), allow_unsafe=True).name == "coinbase"
    with pytest.raises(ConfigError, match='did you mean "binance"'):
        traits_of("binanse", ("BTC/USDT",))
    with pytest.raises(ConfigError, match="client ids have at most 18 characters"):
        traits_of("kraken", ("BTC/USD",))


def test_spot_and_perpetuals_are_two_accounts() -> None:
    assert traits_of("binance", ("BTC/USDT:USDT",)).product == "perpetual"
    with pytest.raises(ConfigError, match="two accounts"):
        traits_of("binance", ("BTC/USDT", "BTC/USDT:USDT"))
    with pytest.raises(ConfigError, match="only on binanceusdm"):
        traits_of("mexc", ("BTC/USDT:USDT",))


def test_safe_exchanges_say_so_to_the_order_machine() -> None:
    for traits in EXCHANGES.values():
        assert traits.capabilities.is_safe == (traits.finds_by_client_id and traits.honours_window)
