"""What the practice exchange answers when it refuses, in the words of the real one."""

from __future__ import annotations

from typing import Any, NamedTuple


class Words(NamedTuple):
    """Code, text and HTTP status of an error body."""

    code: int
    text: str
    status: int = 400


class RefusedError(Exception):
    """The venue refuses; ``words`` is what the client reads, ``headers`` go with it.

    >>> RefusedError(NO_SUCH_ORDER).body
    {'code': -2013, 'msg': 'Order does not exist.'}
    """

    def __init__(self, words: Words, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{words.code}: {words.text}")
        self.words, self.headers = words, headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object that is sent."""
        return {"code": self.words.code, "msg": self.words.text}


INTERNAL = Words(-1000, "An unknown error occurred while processing the request.", 500)
UNEXPECTED_RESPONSE = Words(
    -1006, "An unexpected response was received from the message bus. Execution status unknown.", 400
)
BACKEND_TIMEOUT = Words(
    -1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown.", 408
)
OVERLOADED = Words(-1008, "Server is currently overloaded with other requests. Please try again in a few minutes.", 503)
NO_LONGER_SERVED = Words(-1016, "This service is no longer available.", 503)
OUTSIDE_WINDOW = Words(-1021, "Timestamp for this request is outside of the recvWindow.")
AHEAD = Words(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
WINDOW_TOO_LONG = Words(-1131, "recvWindow must be less than 60000.")
BAD_SIGNATURE = Words(-1022, "Signature for this request is not valid.")
NO_KEY = Words(-2014, "API-key format invalid.", 401)
BAD_KEY = Words(-2015, "Invalid API-key, IP, or permissions for action.", 401)
BAD_SYMBOL = Words(-1121, "Invalid symbol.")
BAD_INTERVAL = Words(-1120, "Invalid interval.")
BAD_TIF = Words(-1115, "Invalid timeInForce.")
BAD_KIND = Words(-1116, "Invalid orderType.")
BAD_SIDE = Words(-1117, "Invalid side.")
BAD_LISTEN_KEY = Words(-1125, "This listenKey does not exist.")
BAD_CID = Words(
    -1100, "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'."
)
UNKNOWN_PATH = Words(-1000, "Path not found.", 404)
FILTER_PRICE = Words(-1013, "Filter failure: PRICE_FILTER")
FILTER_LOT = Words(-1013, "Filter failure: LOT_SIZE")
FILTER_NOTIONAL = Words(-1013, "Filter failure: NOTIONAL")
FILTER_COUNT = Words(-1013, "Filter failure: MAX_NUM_ORDERS")
MARKET_CLOSED = Words(-1013, "Market is closed.")
NO_MONEY = Words(-2010, "Account has insufficient balance for requested action.")
DUPLICATE = Words(-2010, "Duplicate order sent.")
WOULD_TAKE = Words(-2010, "Order would immediately match and take.")
WOULD_TRIGGER = Words(-2010, "Stop price would trigger immediately.")
BAD_OCO = Words(-1013, "The relationship of the prices for the orders is not correct.")
UNKNOWN_ORDER = Words(-2011, "Unknown order sent.")
NO_SUCH_ORDER = Words(-2013, "Order does not exist.")
NO_SUCH_LIST = Words(-2018, "Order list does not exist.")
NEITHER_ID = Words(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
TOO_MANY_ORDERS = Words(-1015, "Too many new orders; current limit is 100 orders per 10 SECOND.", 429)


def missing(name: str) -> Words:
    """Word a parameter that was not sent or cannot be read."""
    return Words(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def unwanted(name: str) -> Words:
    """Word a parameter that this kind of order does not take."""
    return Words(-1106, f"Parameter '{name}' sent when not required.")


def too_precise(name: str) -> Words:
    """Word a number with more digits than the asset has."""
    return Words(-1111, f"Parameter '{name}' has too much precision.")


def too_heavy(limit: int, address: str) -> Words:
    """Word a request above the weight limit."""
    return Words(
        -1003,
        f"Too much request weight used; current limit of IP({address}) is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
        429,
    )


def banned(until_ms: int, address: str) -> Words:
    """Word the ban of an address that did not heed the limit."""
    return Words(
        -1003,
        f"Way too much request weight used; IP({address}) banned until {until_ms}. "
        "Please use WebSocket Streams for live updates to avoid bans.",
        418,
    )
