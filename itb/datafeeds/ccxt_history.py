"""The only door to ccxt here: pages of past bars from any exchange that offers them, nonsense told from silence."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeVar
from urllib.parse import urlsplit

import ccxt

from itb.datafeeds.backoff import Retrier, TransientError, TurnedAwayError, retry_after_s
from itb.datafeeds.page import Row
from itb.datafeeds.settlements import Rate, settled_at
from itb.datafeeds.store import MARKS
from itb.errors import ConfigError, GatewayError
from itb.market.instrument import canonical_symbol
from itb.market.timeframe import DAY_MS, Timeframe

Answer = TypeVar("Answer")

FALLBACK_LIMIT = 500
_FUNDING_PAGE = 1_000
_BINANCE = ("binance", "binanceus")
_STOP = {
    401: "asks for a login",
    403: "refuses this machine (often after too many requests)",
    418: "has banned this address after too many requests",
    451: "does not serve this country",
}
_NONSENSE = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Connection:
    """How an exchange is reached: its host, ccxt constructor settings, and the seconds an answer may take.

    ``base_url`` replaces scheme and host of every address and keeps the paths, as a mirror
    (``https://data-api.binance.vision``) needs it.
    """

    base_url: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    timeout_s: float = 20.0

    def __post_init__(self) -> None:
        if self.base_url is not None and urlsplit(self.base_url).scheme not in ("http", "https"):
            raise ValueError(f'base_url must begin with "https://" or "http://", was {self.base_url!r}')
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be above 0, was {self.timeout_s}")


class CcxtHistory:
    """Past bars of one symbol on one exchange, through the unmodified synchronous ccxt client.

    Built by :func:`open_history`. ccxt turns an answer that is not JSON into an empty list and drops rows without a
    time; here the first is a :class:`TransientError` and the second are given too, so that nonsense is never taken for
    "no bars". ccxt's own rate limiter stays on, its own retries stay off.
    """

    def __init__(
        self, client: Any, symbol: str, timeframe: Timeframe, retrier: Retrier, *, marks: bool = False
    ) -> None:
        self.exchange: str = client.id + (MARKS if marks else "")
        self.symbol = symbol
        self.timeframe = timeframe
        self.limit = _page_limit(client, symbol)
        self._client = client
        self._retrier = retrier
        self._names = _timeframe_names(client)
        self._params = {"price": "mark"} if marks else {}

    @property
    def coarsest(self) -> Timeframe | None:
        """The day, when the exchange offers daily bars and this history is of finer ones; else ``None``."""
        day = Timeframe(DAY_MS)
        return day if day in self._names and self.timeframe < day else None

    def now(self) -> int:
        """Read the exchange's clock in UTC milliseconds, or this machine's where the exchange shows none."""
        if not self._client.has.get("fetchTime"):
            return int(self._client.milliseconds())

        def ask() -> int:
            time_ms = self._ask(self._client.fetch_time)
            if not isinstance(time_ms, int) or time_ms < 0:
                raise TransientError(f"answered {str(time_ms)[:40]!r} when asked for the time")
            return time_ms

        return self._retrier.call(f"{self.exchange}: clock", ask)

    def rows(self, since_ms: int, limit: int, timeframe: Timeframe | None = None) -> list[Row]:
        """Ask for at most ``limit`` bars that open at or after ``since_ms``; rows come unchecked and in any order."""
        name = self._names[timeframe or self.timeframe]

        def ask() -> list[Row]:
            seen: list[Row] = []
            self._client.parse_ohlcv = _recording(type(self._client).parse_ohlcv, self._client, seen)
            kept = self._ask(lambda: self._client.fetch_ohlcv(self.symbol, name, since_ms, limit, self._params))
            dropped = [row for row in seen if not row or not isinstance(row[0], int)]
            return [*kept, *dropped]

        return self._retrier.call(f"{self.exchange}: {self.symbol} {name}", ask)

    def settlements(self, since_ms: int) -> list[Rate]:
        """Give a page of settlements of funding at or after a time, oldest first; see :func:`fill_settlements`."""

        def ask() -> list[Rate]:
            rows = self._ask(lambda: self._client.fetch_funding_rate_history(self.symbol, since_ms, _FUNDING_PAGE))
            told = self._client.last_json_response
            if not isinstance(told, list) or len(rows) != len(told):  # ccxt leaves out what it cannot read
                raise TransientError(f"settlements cannot be read: {_short(self._client.last_http_response)}")
            return sorted(map(_rate, rows))

        return self._retrier.call(f"{self.exchange}: funding of {self.symbol}", ask)

    def _ask(self, request: Callable[[], Answer]) -> Answer:
        self._client.last_json_response = None
        answer = _translated(self._client, request)
        if self._client.last_json_response is None:
            raise TransientError(f"the answer is not JSON: {_short(self._client.last_http_response or 'empty')}")
        return answer


def open_history(
    exchange: str,
    symbol: str,
    timeframe: Timeframe,
    *,
    retrier: Retrier,
    connection: Connection | None = None,
    marks: bool = False,
) -> CcxtHistory:
    """Reach an exchange and check that it offers this symbol and timeframe; with ``marks``, bars of its mark price.

    Raises :class:`ConfigError` for an exchange or symbol that cannot exist and :class:`GatewayError` for what the
    exchange does not offer, both with the nearest names.
    """
    connection = connection or Connection()
    exchange = exchange.strip().lower()
    client = _client(exchange, _canonical(symbol), connection)
    if client.has["fetchOHLCV"] is not True:
        raise GatewayError(f"{exchange}: does not offer past bars; use another exchange or import a file")
    offered = _timeframe_names(client)
    if timeframe not in offered:
        finer = [frame for frame in offered if timeframe.is_multiple_of(frame)]
        hint = f"; download {max(finer)} and aggregate" if finer else ""
        raise GatewayError(
            f"{exchange}: timeframe {timeframe} is not offered, only {', '.join(map(str, sorted(offered)))}{hint}"
        )
    retrier.call(f"{exchange}: list of markets", lambda: _load_markets(client))
    _require_market(client, _canonical(symbol))
    return CcxtHistory(client, _canonical(symbol), timeframe, retrier, marks=marks)


def _rate(row: Mapping[str, Any]) -> Rate:
    """Read a settlement; raise :class:`TransientError` for one that is none."""
    time, rate = row.get("timestamp"), row.get("fundingRate")
    mark = (row.get("info") or {}).get("markPrice")
    try:
        price = float(mark) if mark else math.nan
        if isinstance(time, int) and rate is not None and time > 0 and abs(rate) < 1 and not price <= 0:
            return Rate(settled_at(time), float(rate), price)
    except (TypeError, ValueError):
        pass
    raise TransientError(f"a settlement that cannot be read: {_short(row)}")


def _canonical(symbol: str) -> str:
    try:
        return canonical_symbol(symbol)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _client(exchange: str, symbol: str, connection: Connection) -> Any:
    if exchange not in ccxt.exchanges:
        near = get_close_matches(exchange.lower(), ccxt.exchanges, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"ccxt knows {len(ccxt.exchanges)}, such as binance"
        raise ConfigError(f"exchange {exchange!r} is not known to ccxt; {hint}")
    client = getattr(ccxt, exchange)(
        {
            "enableRateLimit": True,
            "enableLastJsonResponse": True,
            "requests_trust_env": connection.base_url is None,
            "timeout": round(connection.timeout_s * 1_000),
            "options": _options(exchange, symbol),
            **connection.settings,
        }
    )
    if connection.base_url is not None:
        client.urls["api"] = _redirected(client.urls["api"], connection.base_url.rstrip("/"))
    return client


def _options(exchange: str, symbol: str) -> dict[str, object]:
    if exchange not in _BINANCE:
        return {}
    pair, _, settle = symbol.partition(":")
    kind = "spot" if not settle else "linear" if settle == pair.split("/")[1] else "inverse"
    return {
        "fetchCurrencies": False,
        "fetchMargins": False,
        "fetchMarkets": {"types": [kind]},
        "defaultType": "swap" if settle else "spot",
        "defaultSubType": kind if settle else None,
    }


def _redirected(urls: Any, base_url: str) -> Any:
    if isinstance(urls, dict):
        return {name: _redirected(url, base_url) for name, url in urls.items()}
    return base_url + urlsplit(urls).path if isinstance(urls, str) else urls


def _timeframe_names(client: Any) -> dict[Timeframe, str]:
    names: dict[Timeframe, str] = {}
    for name in client.timeframes or {}:
        try:
            names.setdefault(Timeframe.parse(name), name)
        except ValueError:
            continue  # seconds and calendar months are no timeframe here
    return names


def _page_limit(client: Any, symbol: str) -> int:
    market = client.markets[symbol]
    features = client.features or {}
    family = features.get("spot") if market["spot"] else features.get(market["type"])
    if family and not market["spot"]:
        family = family.get("linear" if market["linear"] else "inverse")
    return int(((family or {}).get("fetchOHLCV") or {}).get("limit") or FALLBACK_LIMIT)


def _load_markets(client: Any) -> None:
    if not _translated(client, client.load_markets):
        raise TransientError("the list of markets came empty")


def _require_market(client: Any, symbol: str) -> None:
    if symbol in client.markets:
        return
    base = symbol.partition("/")[0]
    near = get_close_matches(symbol, list(client.markets), n=3, cutoff=0.6)
    near = near or [name for name in client.markets if name.startswith(f"{base}/")][:3]
    hint = f"did you mean {' or '.join(near)}?" if near else f"none of its {len(client.markets)} markets is like it"
    raise GatewayError(f"{client.id}: symbol {symbol} is not listed; {hint}")


def _recording(parse: Callable[..., Sequence[object]], client: Any, seen: list[Row]) -> Callable[..., Row]:
    def parse_ohlcv(ohlcv: object, market: object = None) -> Row:
        row = parse(client, ohlcv, market)
        seen.append(row)
        return row

    return parse_ohlcv


def _translated(client: Any, request: Callable[[], Answer]) -> Answer:
    client.last_response_headers = None
    try:
        return request()
    except ccxt.BaseError as error:
        raise _meaning(client, error) from error
    except _NONSENSE as error:
        raise TransientError(f"the answer cannot be read ({type(error).__name__}: {_short(error)})") from error


def _meaning(client: Any, error: ccxt.BaseError) -> GatewayError:
    status = _status(error)
    if status in _STOP:
        return TurnedAwayError(
            f"{client.id}: {_STOP[status]} (HTTP {status}): {_short(error)}; no further request is sent"
        )
    if status == 429 or isinstance(error, ccxt.DDoSProtection):
        header = (client.last_response_headers or {}).get("Retry-After")
        wait_s = retry_after_s(header)
        return TransientError(f"too many requests (HTTP {status}): {_short(error)}", 60.0 if wait_s is None else wait_s)
    was_cut = status is None and error.__cause__ is not None
    if isinstance(error, ccxt.OperationFailed) or was_cut or (status or 0) >= 500:
        return TransientError(f"{type(error).__name__}: {_short(error)}")
    return GatewayError(f"{client.id}: {type(error).__name__}: {_short(error)}")


def _status(error: BaseException | None) -> int | None:
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__ or error.__context__
    return None


def _short(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= 200 else f"{line[:197]}..."
