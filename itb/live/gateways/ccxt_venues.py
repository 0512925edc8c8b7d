"""What each exchange can do, as far as order safety depends on it; exchanges that are not listed are unsafe."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from typing import Literal, TypeAlias

from itb.errors import ConfigError
from itb.live.gateways.port import Capabilities, OrderKind

Product: TypeAlias = Literal["spot", "perpetual"]
_ALL: frozenset[OrderKind] = frozenset(("market", "limit", "stop", "stop_limit"))
_PLAIN: frozenset[OrderKind] = frozenset(("market", "limit"))
_STOPPED: frozenset[OrderKind] = frozenset(("market", "limit", "stop"))
DAY_MS = 86_400_000
_ROUNDED = Decimal("0.0001")  # entry prices and gains of perpetuals are told rounded


@dataclass(frozen=True)
class ExchangeTraits:
    """How one exchange is spoken to through ccxt.

    Parameters
    ----------
    name
        ccxt's name of it.
    product
        Coins, or USD-margined perpetuals.
    finds_by_client_id
        Whether an order, open or ended, can be looked up and cancelled by the name that we gave it.
    honours_window
        Whether the exchange refuses a request that arrives after ``recvWindow``.
    client_id_length
        Longest client order id.
    kinds
        Order types that rest at the exchange.
    has_oco
        Whether a pair of orders of which one cancels the other is sent there, in Binance's words.
    lists_all_open
        Whether open orders of all symbols come in one answer.
    history_window_ms
        Longest span of one question for past orders and executions; 0 for no limit.
    page
        Most rows of one such answer.
    pages_by_id
        Whether past orders and executions can be asked for from an id on: rows of one moment may fill a page.
    has_sandbox
        Whether ccxt knows a place to trade without money.
    """

    name: str
    product: Product = "spot"
    finds_by_client_id: bool = False
    honours_window: bool = False
    client_id_length: int = 32
    kinds: frozenset[OrderKind] = field(default_factory=lambda: _PLAIN)
    has_oco: bool = False
    lists_all_open: bool = False
    history_window_ms: int = 0
    page: int = 100
    pages_by_id: bool = False
    has_sandbox: bool = False

    @property
    def capabilities(self) -> Capabilities:
        """What the order machine needs to know of it."""
        exactly = Capabilities().balance_tolerance if self.product == "spot" else _ROUNDED
        return Capabilities(
            self.finds_by_client_id, self.honours_window, self.client_id_length, balance_tolerance=exactly,
            kinds=self.kinds, pairs=self.has_oco,
        )  # fmt: skip

    def why_unsafe(self) -> str:
        """Why an order without an answer could be lost or doubled here; empty where it cannot."""
        lacks = []
        if not self.finds_by_client_id:
            lacks.append("orders cannot be found by the client's id")
        if not self.honours_window:
            lacks.append("requests have no latest arrival")
        if self.client_id_length < Capabilities().client_id_length:
            lacks.append(f"client ids have at most {self.client_id_length} characters, itb needs 32")
        return " and ".join(lacks)


def _binance(name: str, *, has_sandbox: bool = False) -> ExchangeTraits:
    return ExchangeTraits(
        name, finds_by_client_id=True, honours_window=True, client_id_length=36, kinds=_ALL, has_oco=True,
        lists_all_open=True, history_window_ms=DAY_MS, page=1_000, pages_by_id=True, has_sandbox=has_sandbox,
    )  # fmt: skip


# Binance is rehearsed on the practice exchange; the others are listed by their documents and by what ccxt sends.
EXCHANGES = {
    traits.name: traits
    for traits in (
        _binance("binance", has_sandbox=True),
        _binance("binanceus"),
        ExchangeTraits(
            "binanceusdm", "perpetual", finds_by_client_id=True, honours_window=True, client_id_length=36,
            kinds=_STOPPED, lists_all_open=True, history_window_ms=7 * DAY_MS, page=1_000, pages_by_id=True,
        ),
        ExchangeTraits("mexc", finds_by_client_id=True, honours_window=True, history_window_ms=7 * DAY_MS),
        ExchangeTraits("bybit", honours_window=True, client_id_length=36, has_sandbox=True,
                       lists_all_open=True, history_window_ms=7 * DAY_MS, page=50),
        ExchangeTraits("okx", finds_by_client_id=True, has_sandbox=True, lists_all_open=True),
        ExchangeTraits("kucoin", finds_by_client_id=True, client_id_length=40, lists_all_open=True,
                       history_window_ms=7 * DAY_MS),
        ExchangeTraits("bitget", finds_by_client_id=True, client_id_length=40, lists_all_open=True),
        ExchangeTraits("htx", finds_by_client_id=True, client_id_length=64, history_window_ms=2 * DAY_MS),
        ExchangeTraits("kraken", finds_by_client_id=True, client_id_length=18, lists_all_open=True, page=50),
        ExchangeTraits("bitvavo", finds_by_client_id=True, client_id_length=36, page=500),
        ExchangeTraits("gate", client_id_length=28, has_sandbox=True, lists_all_open=True, page=100),
        ExchangeTraits("coinbase", client_id_length=128, lists_all_open=True),
        ExchangeTraits("bitfinex", lists_all_open=True),
    )
}  # fmt: skip


def traits_of(exchange: str, symbols: tuple[str, ...], *, allow_unsafe: bool = False) -> ExchangeTraits:
    """Give the traits of an exchange for what is traded on it.

    Raises :class:`itb.errors.ConfigError` where an unanswered order could be lost or doubled, unless ``allow_unsafe``,
    and where spot and perpetuals are mixed.

    >>> traits_of("binance", ("BTC/USDT:USDT",)).name
    'binanceusdm'
    """
    name = exchange.strip().lower()
    perpetual = {":" in symbol for symbol in symbols}
    if len(perpetual) > 1:
        raise ConfigError(
            f"symbols {', '.join(symbols)}: spot and perpetuals are two accounts; run one bot for each of them"
        )
    if perpetual == {True}:
        name = {"binance": "binanceusdm"}.get(name, name)
    traits = EXCHANGES.get(name, ExchangeTraits(name))
    if perpetual == {True} and traits.product != "perpetual":
        able = ", ".join(one.name for one in EXCHANGES.values() if one.product == "perpetual")
        raise ConfigError(f"{exchange}: perpetuals are not traded there by itb, only on {able}")
    why = traits.why_unsafe()
    if why and not allow_unsafe:
        safe = [one.name for one in EXCHANGES.values() if not one.why_unsafe()]
        near = [] if name in EXCHANGES else get_close_matches(name, EXCHANGES, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise ConfigError(
            f"{exchange}: {why}, so an order without an answer might be lost or sent twice{hint}; trade on "
            f"{', '.join(safe)}, or allow unsafe exchanges explicitly"
        )
    return traits
