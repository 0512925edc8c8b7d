"""The only door to ccxt in live trading: one client for an account, hushed, exact, and never retrying by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from itb.errors import ConfigError, GatewayError
from itb.live.gateways.ccxt_answers import Answer, Failure, pause_ms, utc_ms
from itb.live.gateways.ccxt_venues import ExchangeTraits
from itb.live.practice.client import point_at
from itb.live.practice.guard import KEY, SECRET
from itb.live.run.redaction import hide, shown

_NONSENSE = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, AssertionError)
_MOST_WORDS = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """Where and as whom to speak to an exchange; keys are never shown.

    Parameters
    ----------
    key, secret, password
        Of the exchange's interface; empty for market data only.
    sandbox
        Whether to use the exchange's place for trading without money.
    practice_url
        Address of a practice exchange to speak to instead.
    speed
        How fast the practice exchange's market runs; 1 for real ones and for lock-step.
    timeout_s
        Longest wait for an answer.
    window_s
        How late a request may arrive, by the clock of the exchange.
    """

    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    sandbox: bool = False
    practice_url: str = ""
    speed: float = 1.0
    timeout_s: float = 10.0
    window_s: float = 5.0

    def __post_init__(self) -> None:
        if self.sandbox and self.practice_url:
            raise ValueError("sandbox and practice_url exclude one another: choose the exchange's place or this one")
        if self.speed != 1 and not self.practice_url:
            raise ValueError(f"speed must be 1 on a real exchange, was {self.speed}")
        for name in ("speed", "timeout_s", "window_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, was {getattr(self, name)}")


class CallFailedError(GatewayError):
    """A call brought no usable answer; ``failure`` says what is known of it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.words)
        self.failure = failure


class QuietError(Exception):
    """The exchange asked for silence: nothing was sent."""


@dataclass
class _Heard:
    stamp: int | None = None
    was_sent: bool = False
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def answer(self) -> Answer | None:
        return Answer(self.status, self.headers, self.body) if self.status else None


_heard: ContextVar[_Heard | None] = ContextVar("heard", default=None)


class Line:
    """One ccxt client, and what it hears. All that speak to an account share one, with its rate limit and its pause.

    ccxt's own retries are off, numbers are texts (so nothing is rounded), requests are stamped by ``clock``, and while
    the exchange wants silence nothing leaves. Build it with :func:`open_line`, end it with :meth:`close`.
    """

    def __init__(self, client: Any, traits: ExchangeTraits, account: Account) -> None:
        self.client, self.traits, self.account = client, traits, account
        self.clock: Callable[[], float] | None = None
        self.requests = 0
        self._quiet_until = 0.0
        self._fetch_raw, self._parse_raw = client.fetch, client.parse_json
        client.fetch, client.parse_json = self._fetch, self._parse
        client.on_rest_response = self._answered
        client.nonce = self._stamp
        self._socket_raw = client.client
        client.client = self._socket
        self._markets = asyncio.Lock()

    # ---- what ccxt calls

    def _stamp(self) -> int:
        heard = _heard.get()
        if self.account.practice_url or self.clock is None:
            return utc_ms()  # the practice exchange judges ages by wall time
        return round(self.clock()) if heard is None or heard.stamp is None else heard.stamp

    async def _fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        if self.quiet_ms() > 0:
            raise QuietError("the exchange asked for a pause")
        heard = _heard.get()
        if heard is not None:
            heard.was_sent, heard.status, heard.body = True, 0, None
        self.requests += 1
        self.client.open(lazy=True)
        self.client.session._retry_connection = False  # else aiohttp sends a cancel twice when its connection breaks
        return await self._fetch_raw(url, method, headers, body)

    def _answered(
        self, status: int, _reason: str, _url: str, _method: str, headers: dict[str, str], text: str, *_sent: object
    ) -> str:
        heard = _heard.get()
        if heard is not None:
            heard.status, heard.headers = status, headers
        return text

    def _parse(self, text: str) -> Any:
        body = self._parse_raw(text)
        heard = _heard.get()
        if heard is not None:
            heard.body = body
            failure = Failure((), "", heard.answer)
            if failure.is_limit and heard.answer is not None:
                self.hush(pause_ms(heard.answer, utc_ms()))
        return body

    def _socket(self, url: str) -> Any:
        """Give ccxt's websocket to an address; nonsense that arrives on it cuts it, or it would be deaf for ever."""
        socket = self._socket_raw(url)
        if not hasattr(socket, "handle_raw"):
            socket.handle_raw = socket.handle_message

            def handle(message: Any) -> None:
                try:
                    socket.handle_raw(message)
                except Exception as error:  # noqa: BLE001  (ccxt's receiving ends silently at any exception)
                    _log.debug("%s: a message that cannot be read (%s)", self.traits.name, type(error).__name__)
                    socket.on_error(ConnectionError("a message that cannot be read"))

            socket.handle_message = handle
        return socket

    # ---- silence

    def quiet_ms(self) -> int:
        """How long the exchange still wants no requests, this machine's milliseconds."""
        return max(0, round(1_000 * (self._quiet_until - asyncio.get_running_loop().time())))

    def hush(self, wait_ms: int) -> None:
        """Send nothing for so long."""
        self._quiet_until = max(self._quiet_until, asyncio.get_running_loop().time() + wait_ms / 1_000)

    # ---- what we call

    async def call(self, method: str, *args: Any, stamp: int | None = None, **more: Any) -> Any:
        """Call one of ccxt's methods; raise :class:`CallFailedError` for everything but a whole answer.

        ``stamp`` is the time that the request says it was sent at.
        """
        heard = _Heard(stamp)
        token = _heard.set(heard)
        try:
            found = await getattr(self.client, method)(*args, **more)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  (ccxt lets anything through: sorted here, by what was heard)
            raise CallFailedError(self._failure(error, heard)) from None
        finally:
            _heard.reset(token)
        if heard.was_sent and heard.body is None:
            raise CallFailedError(Failure(("NoJson",), f"{method}: the answer is not JSON", heard.answer))
        return found

    def _failure(self, error: Exception, heard: _Heard) -> Failure:
        kinds = tuple(kind.__name__ for kind in type(error).__mro__)
        answer = heard.answer
        told = answer.said if answer is not None else ""
        if told and answer is not None:
            words = f"{answer.code or answer.status} {told}"
        elif answer is not None:
            words = f"{kinds[0]} (HTTP {answer.status})"
        elif isinstance(error, QuietError) or not heard.was_sent:
            words = f"{kinds[0]}: {error}"
        else:
            words = kinds[0]  # ccxt's own text holds the signed address
        words = shown(" ".join(words.split()))[:_MOST_WORDS]
        _log.debug("%s: %s", self.traits.name, words)
        return Failure(kinds, words, answer, was_sent=heard.was_sent)

    async def load_markets(self, *, again: bool = False) -> dict[str, Any]:
        """Give the exchange's markets; asked for once, or ``again``."""
        async with self._markets:
            if again or not self.client.markets:
                found = await self.call("load_markets", True)  # noqa: FBT003  (else ccxt repeats an empty answer for ever)
                if not found:
                    raise CallFailedError(Failure(("Empty",), "the list of markets came empty"))
            markets: dict[str, Any] = self.client.markets
            return markets

    def hang_up(self) -> None:
        """Cut every websocket, so that the next listener dials anew; requests go on."""
        sockets, self.client.clients = list(self.client.clients.values()), {}
        for socket in sockets:
            with suppress(*_NONSENSE):
                socket.reset(ConnectionError("cut by us"))
            task = asyncio.ensure_future(_closed(socket.close()))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def close(self) -> None:
        """End every connection."""
        await _closed(self.client.close())


async def _closed(closing: Awaitable[Any]) -> None:
    with suppress(OSError, RuntimeError, *_NONSENSE):
        await closing


def open_line(traits: ExchangeTraits, account: Account) -> Line:
    """Build the client of an account; nothing is asked yet.

    Raises :class:`itb.errors.ConfigError` for an exchange that ccxt does not know or that has no such mode.
    """
    own = (account.key, account.secret, account.password)
    hide(value for value in own if value not in {KEY, SECRET})  # those of a practice exchange are no secrets
    client = _client(traits, account)
    if account.sandbox:
        if not traits.has_sandbox:
            raise ConfigError(f"{traits.name}: no sandbox is known; use `itb live --paper` or `itb practice`")
        client.set_sandbox_mode(True)
    if account.practice_url:
        if traits.name != "binance":
            raise ConfigError(
                f"{traits.name}: the practice exchange speaks Binance's language; set data.exchange to it"
            )
        more = {"key": account.key, "secret": account.secret} if account.key else {}
        point_at(client, account.practice_url, **more)
    return Line(client, traits, account)


def _client(traits: ExchangeTraits, account: Account) -> Any:
    import ccxt
    import ccxt.pro

    if traits.name not in ccxt.exchanges:
        raise ConfigError(f"{traits.name}: no exchange of ccxt {ccxt.__version__}")
    # Binance counts by the minute: an order must not wait behind the questions of a poll, as in ccxt's leaky bucket.
    source = ccxt.pro if traits.name in ccxt.pro.exchanges else ccxt.async_support
    client = getattr(source, traits.name)({
        "apiKey": account.key,
        "secret": account.secret,
        "password": account.password,
        "enableRateLimit": not account.practice_url,
        "rateLimiterAlgorithm": "rollingWindow" if traits.name.startswith("binance") else "leakyBucket",
        "timeout": round(1_000 * account.timeout_s),
        "newUpdates": True,
        "options": _options(traits, account),
    })  # fmt: skip
    client.number = str
    client.options["maxRetriesOnFailure"] = 0
    client.streaming = {**client.streaming, "keepAlive": 15_000}
    return client


def _options(traits: ExchangeTraits, account: Account) -> dict[str, Any]:
    options: dict[str, Any] = {
        "recvWindow": round(1_000 * account.window_s),
        "maxRetriesOnFailure": 0,
        "adjustForTimeDifference": False,
        "warnOnFetchOpenOrdersWithoutSymbol": False,
        "defaultType": "swap" if traits.product == "perpetual" else "spot",
        "ordersLimit": 100,  # what its streams remember; only what is new is read of it
        "tradesLimit": 100,
        "OHLCVLimit": 10,
    }
    if traits.name.startswith("binance"):
        kind = "linear" if traits.product == "perpetual" else "spot"
        every = dict.fromkeys(("market", "limit", "stop_loss", "stop_loss_limit"), "RESULT")
        options |= {
            "fetchCurrencies": False, "fetchMargins": False, "fetchMarkets": {"types": [kind]},
            "newOrderRespType": every,
        }  # fmt: skip
    return options


@asynccontextmanager
async def line_to(traits: ExchangeTraits, account: Account) -> AsyncIterator[Line]:
    """Open a line and close it at the end of the block."""
    line = open_line(traits, account)
    try:
        yield line
    finally:
        await line.close()
