"""USD-margined perpetuals at 1x, isolated, one way: told as if coins were bought and sold, with funding booked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from itb.errors import GatewayError
from itb.live.gateways.ccxt_gateway import CcxtGateway, ignore, read
from itb.live.gateways.ccxt_line import CallFailedError, Line
from itb.live.gateways.ccxt_words import NotReadableError, amount
from itb.live.gateways.port import Balance, Funding, NoAnswerError
from itb.live.orders.state import EXACT

_AS_IT_IS = frozenset((-4046, -4059))  # "no need to change"
_ZERO = Decimal(0)


class CcxtPerpetuals(CcxtGateway):
    """An account of perpetuals on Binance.

    The order machine knows coins and money. So a position is told as coins, and its price at entry as money that was
    spent for them: balance of the currency = wallet - quantity x entry price. Every execution then moves both as on
    spot, gains and losses come out the same, and funding is the only other thing that moves money. Call
    :meth:`prepare` once before anything is traded.
    """

    async def prepare(self, symbols: Iterable[str]) -> None:
        """Set one-way positions, isolated margin and a leverage of 1; raise :class:`GatewayError` if it cannot be."""
        await self._set("fapiPrivatePostPositionSideDual", {"dualSidePosition": "false"}, "one-way positions")
        markets = await self.line.load_markets()
        for symbol in symbols:
            name = markets[symbol]["id"]
            await self._set("fapiPrivatePostMarginType", {"symbol": name, "marginType": "ISOLATED"}, "isolated margin")
            told = await self._set("fapiPrivatePostLeverage", {"symbol": name, "leverage": 1}, "a leverage of 1")
            if str(told.get("leverage")) != "1":
                raise GatewayError(f"{symbol}: asked for a leverage of 1, told {told.get('leverage')}; set it by hand")

    async def _set(self, method: str, params: dict[str, Any], what: str) -> Mapping[str, Any]:
        try:
            answer = await self.line.call(method, params)
        except CallFailedError as error:
            failure = error.failure
            if failure.answer is not None and failure.answer.code in _AS_IT_IS:
                return {}
            raise GatewayError(
                f"{self.line.traits.name}: {what} cannot be set ({failure.words}); close open positions and orders of "
                "these symbols, then start again"
            ) from None
        return answer if isinstance(answer, dict) else {}

    async def balances(self) -> tuple[Balance, ...]:
        """Give what the account holds, as if it were coins."""
        account = await self._ask("fapiPrivateV3GetAccount")
        positions = await self._ask("fapiPrivateV3GetPositionRisk")
        names = {market["id"]: market["symbol"] for market in self.line.client.markets.values() if market.get("swap")}
        return read(as_coins, account, positions, names)

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
