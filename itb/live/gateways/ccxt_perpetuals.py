"""USD-margined perpetuals at 1x, isolated, one way: told as if coins were bought and sold, with funding booked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

from itb.datafeeds.settlements import settled_at
from itb.errors import GatewayError
from itb.live.gateways import ccxt_words as words
from itb.live.gateways.ccxt_answers import of_cancel
from itb.live.gateways.ccxt_conditional import PARAMS, actual_id, executed
from itb.live.gateways.ccxt_gateway import CcxtGateway, ignore, orders_of, read
from itb.live.gateways.ccxt_line import CallFailedError, Line
from itb.live.gateways.ccxt_words import NotReadableError, amount
from itb.live.gateways.port import (
    Balance,
    Cancelled,
    CancelOutcome,
    Funding,
    NoAnswerError,
    NotOpen,
    OrderRequest,
    RateOutlook,
    Settlement,
    Submitted,
    Unknown,
    VenueOrder,
)
from itb.live.gateways.published import PublishedRates
from itb.live.orders.ids import PREFIX
from itb.live.orders.state import EXACT

_AS_IT_IS = frozenset((-4046, -4059))  # "no need to change"
_POSITIONS = "fapiPrivateV3GetPositionRisk"
_PAGE = 1_000
_ZERO = Decimal(0)


class CcxtPerpetuals(CcxtGateway):
    """An account of perpetuals on Binance.

    The order machine knows coins and money. So a position is told as coins, and its price at entry as money that was
    spent for them: balance of the currency = wallet - quantity x entry price. Every execution then moves both as on
    spot, gains and losses come out the same, and funding is the only other thing that moves money. Call
    :meth:`prepare` once before anything is traded.
    """

    def __init__(self, line: Line, clock: Callable[[], float], *, clock_refused: Callable[[], None] = ignore) -> None:
        super().__init__(line, clock, clock_refused=clock_refused)
        self.published = PublishedRates()
        self._resting: set[str] = set()  # names of orders that wait, or waited, for a price

    async def prepare(self, symbols: Collection[str], *, sets: bool, is_new: bool) -> None:
        """See that positions are one way, margin isolated and leverage 1; set them so where ``sets`` says so.

        Raises :class:`GatewayError` where they are not, cannot be set, or where a bot that ``is_new`` finds a position,
        which is then somebody else's.
        """
        markets = await self.line.load_markets()
        held = {str(row["symbol"]): amount(row["positionAmt"]) for row in await self._ask(_POSITIONS)}
        account = await self._ask("fapiPrivateGetAccountConfig")
        wrong = []
        if is_true(account.get("multiAssetsMargin")):
            raise GatewayError(f"{self._name}: margin is shared by all assets; switch multi-assets mode off there")
        if is_true(account.get("dualSidePosition")):
            wrong.append(("one-way positions", "fapiPrivatePostPositionSideDual", {"dualSidePosition": "false"}))
        for symbol in symbols:
            name = markets[symbol]["id"]
            if is_new and held.get(name):
                raise GatewayError(
                    f"{symbol}: the account holds {held[name]} that this bot did not trade; close it, or give the bot "
                    "an account of its own"
                )
            wrong += await self._wrong_of(symbol, name)
        if wrong and not sets:
            told = ", ".join(what for what, _, _ in wrong)
            raise GatewayError(f"{self._name}: expected {told}; set it there, or let itb do so: live.set_margin = true")
        for what, method, params in wrong:
            await self._set(method, params, what)
        if wrong:
            await self.prepare(symbols, sets=False, is_new=is_new)

    async def _wrong_of(self, symbol: str, name: str) -> list[tuple[str, str, dict[str, Any]]]:
        """Name what is not as it must be for a symbol, and the request that sets it."""
        told = await self._ask("fapiPrivateGetSymbolConfig", {"symbol": name})
        row: Mapping[str, Any] = next((one for one in told if one.get("symbol") == name), {})
        wrong: list[tuple[str, str, dict[str, Any]]] = []
        if row.get("marginType") != "ISOLATED":
            params = {"symbol": name, "marginType": "ISOLATED"}
            wrong.append((f"isolated margin of {symbol}", "fapiPrivatePostMarginType", params))
        if str(row.get("leverage")) != "1":
            params = {"symbol": name, "leverage": "1"}
            wrong.append((f"a leverage of 1 of {symbol}", "fapiPrivatePostLeverage", params))
        return wrong

    async def _set(self, method: str, params: dict[str, Any], what: str) -> None:
        try:
            await self.line.call(method, params)
        except CallFailedError as error:
            failure = error.failure
            if failure.answer is None or failure.answer.code not in _AS_IT_IS:
                raise GatewayError(
                    f"{self._name}: {what} cannot be set ({failure.words}); close open positions and orders of these "
                    "symbols, then start again"
                ) from None

    @property
    def _name(self) -> str:
        return self.line.traits.name

    async def balances(self) -> tuple[Balance, ...]:
        """Give what the account holds, as if it were coins."""
        account = await self._ask("fapiPrivateV3GetAccount")
        positions = await self._ask(_POSITIONS)
        names = {market["id"]: market["symbol"] for market in self.line.client.markets.values() if market.get("swap")}
        return read(as_coins, account, positions, names)

    # ---- orders: stops are kept apart

    async def submit(self, request: OrderRequest) -> Submitted:
        """Send an order, once."""
        if request.stop_price is not None:
            self._resting.add(request.client_id)
        return await super().submit(request)

    async def order(self, symbol: str, client_id: str) -> VenueOrder | None:
        """Look an order up by our name for it, among the stops and among the others; both must deny it."""
        is_stop = client_id in self._resting
        for among_stops in (is_stop, not is_stop):
            found = await (self._stop(symbol, client_id) if among_stops else super().order(symbol, client_id))
            if found is not None:
                return found
        return None

    async def _stop(self, symbol: str, client_id: str) -> VenueOrder | None:
        row = await self._found(symbol, None, {"clientOrderId": client_id, **PARAMS})
        return None if row is None else await self._stop_of(row, symbol)

    async def _found(self, symbol: str, order_id: str | None, params: dict[str, Any]) -> dict[str, Any] | None:
        try:
            await self.line.load_markets()
            row: dict[str, Any] = await self.line.call("fetch_order", order_id, symbol, params)
        except CallFailedError as error:
            if error.failure.denies_order:
                return None
            raise self._no_answer(error.failure) from None
        return row

    async def _stop_of(self, row: dict[str, Any], symbol: str) -> VenueOrder:
        """Read a stop; one that was triggered is told by the order that it became."""
        self._resting.add(str(row.get("clientOrderId")))
        actual = read(actual_id, row)
        if actual is None:
            return read(words.order_of, row)
        became = await self._found(symbol, actual, {}) if actual else None
        if became is None:
            raise NoAnswerError(f"{symbol}: a stop was triggered, and what it became is not to be seen yet")
        return read(executed, row, became)

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """Give all open orders of the account, stops first: one that triggers meanwhile is looked up by its name."""
        stops = orders_of(await self._ask("fetch_open_orders", None, None, None, PARAMS))
        self._resting.update(order.client_id for order in stops)
        return (*stops, *await super().open_orders())

    async def orders_since(self, symbol: str, since: int) -> tuple[VenueOrder, ...]:
        """Give orders of any status created at or after a time; stops of others than us are left out."""
        rows = await self._pages("fetch_orders", symbol, since, PARAMS)
        ours = [row for row in rows if str(row.get("clientOrderId")).startswith(PREFIX)]
        stops = [await self._stop_of(row, symbol) for row in ours]
        return (*stops, *await super().orders_since(symbol, since))

    async def cancel(self, symbol: str, client_id: str) -> CancelOutcome:
        """Ask the exchange to end an order, once in each place where it may be."""
        if client_id not in self._resting:
            outcome = await super().cancel(symbol, client_id)
            if not isinstance(outcome, NotOpen):
                return outcome
        try:
            await self.line.load_markets()
            await self.line.call("cancel_order", None, symbol, {"clientOrderId": client_id, **PARAMS})
        except CallFailedError as error:
            return of_cancel(self._noted(error.failure), self._retry_at())
        try:
            order = await self._stop(symbol, client_id)
        except NoAnswerError as error:
            return Unknown(str(error))
        has_ended = order is not None and not order.is_open
        return Cancelled(order) if has_ended and order is not None else Unknown("it is not seen to have ended yet")

    # ---- funding

    async def settlements(self, symbol: str, since: int) -> tuple[Settlement, ...]:
        """Give all settlements at or after a time that are published, oldest first."""
        found: dict[int, Settlement] = {}
        while True:
            rows = await self._ask("fetch_funding_rate_history", symbol, since, _PAGE)
            fresh = [one for one in (read(_settlement, row) for row in rows) if one.time not in found]
            found.update((one.time, one) for one in fresh)
            if len(rows) < _PAGE or not fresh:
                return tuple(found[time] for time in sorted(found))
            since = max(found)

    async def outlook(self, symbol: str) -> RateOutlook:
        """Give the mark price, and when holders pay one another next."""
        return read(_outlook, await self._ask("fetch_funding_rate", symbol))

    async def fundings_since(self, since: int) -> tuple[Funding, ...]:
        """Give payments between holders at or after a time."""
        found: dict[str, Funding] = {}
        while True:
            rows = await self._ask("fetch_funding_history", None, since, self.line.traits.page)
            new = [read(_funding, row) for row in rows]
            fresh = [payment for payment in new if payment.payment_id not in found]
            found.update((payment.payment_id, payment) for payment in fresh)
            if len(rows) < self.line.traits.page:
                return tuple(found.values())
            if not fresh:
                raise NoAnswerError("more payments of funding at one moment than a page holds")
            since = max(payment.time for payment in fresh)


def as_coins(
    account: Mapping[str, Any], positions: Iterable[Mapping[str, Any]], names: Mapping[str, str]
) -> tuple[Balance, ...]:
    """Tell wallets and positions as coins and money.

    >>> account = {"assets": [{"asset": "USDT", "walletBalance": "1000"}]}
    >>> risk = [{"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "-0.5", "entryPrice": "100"}]
    >>> [(one.currency, str(one.total)) for one in as_coins(account, risk, {"BTCUSDT": "BTC/USDT:USDT"})]
    [('BTC', '-0.5'), ('USDT', '1050.0')]
    """
    held: dict[str, Decimal] = defaultdict(Decimal)
    for row in account["assets"]:
        held[str(row["asset"])] += amount(row["walletBalance"]) or _ZERO
    for row in positions:
        qty = amount(row["positionAmt"]) or _ZERO
        if not qty:
            continue
        if row.get("positionSide") != "BOTH":
            raise NotReadableError("positions both ways; expected one-way mode")
        symbol = names[row["symbol"]]
        entry = amount(row["entryPrice"])
        if entry is None:
            raise NotReadableError(f"{symbol}: a position without its price")
        held[symbol.partition("/")[0]] += qty
        currency = symbol.rpartition(":")[2]
        held[currency] = EXACT.subtract(held[currency], EXACT.multiply(qty, entry))
    return tuple(Balance(name, total) for name, total in sorted(held.items()) if total)


def _settlement(row: Mapping[str, Any]) -> Settlement:
    rate = amount(row["fundingRate"])
    if rate is None:
        raise NotReadableError("a settlement without its rate")
    info = row.get("info") or {}
    return Settlement(settled_at(int(row["timestamp"])), rate, amount(info.get("markPrice")) or _ZERO)


def _outlook(row: Mapping[str, Any]) -> RateOutlook:
    mark, next_at = amount(row["markPrice"]), row["fundingTimestamp"]
    if not mark or not next_at:
        raise NotReadableError("a perpetual without its mark price or its next settlement")
    return RateOutlook(int(row["timestamp"]), mark, settled_at(int(next_at)))


def is_true(told: object) -> bool:
    """Read a claim, whether it came as text or not."""
    return str(told).lower() == "true"


def _funding(row: Mapping[str, Any]) -> Funding:
    paid = amount(row["amount"])
    if paid is None:
        raise NotReadableError("a payment of funding without its amount")
    name = f"{row['symbol']}|{row['id']}"  # Binance's ids are unique within a user's income of one type and symbol
    return Funding(name, str(row["symbol"]), str(row["code"]), paid, int(row["timestamp"]))


def gateway_on(line: Line, clock: Callable[[], float], *, clock_refused: Callable[[], None] = ignore) -> CcxtGateway:
    """Build the gateway that fits what is traded on a line: coins or perpetuals."""
    kind = CcxtPerpetuals if line.traits.product == "perpetual" else CcxtGateway
    return kind(line, clock, clock_refused=clock_refused)
