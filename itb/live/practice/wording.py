"""The venue's facts as the JSON that Binance sends: orders, fills, balances, bars, tickers."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from itb.live.practice.orders import Fill, Order, OrderList
    from itb.live.practice.tape import Tape
    from itb.live.practice.wallet import Wallet

ORDER_TYPES = [
    "LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT",
]  # fmt: skip


def number(value: Decimal | float) -> str:
    """Print an amount with 8 decimals.

    >>> number(Decimal("0.1"))
    '0.10000000'
    """
    return f"{value:.8f}"


def order(of: Order) -> dict[str, Any]:
    """Word an order as GET /order does."""
    return {
        "symbol": of.ask.symbol,
        "orderId": of.id,
        "orderListId": of.list_id,
        "clientOrderId": of.cid,
        "price": number(of.ask.price),
        "origQty": number(of.qty),
        "executedQty": number(of.filled),
        "origQuoteOrderQty": number(of.ask.quote_qty),
        "cummulativeQuoteQty": number(of.spent),
        "status": of.status,
        "timeInForce": of.ask.tif,
        "type": of.ask.kind,
        "side": of.ask.side,
        "stopPrice": number(of.ask.stop),
        "icebergQty": "0.00000000",
        "time": of.time,
        "updateTime": of.updated,
        "isWorking": of.is_working,
        "selfTradePreventionMode": "NONE",
        **({"workingTime": of.time} if of.is_working else {}),
    }


def placed(of: Order, now: int, detail: str = "FULL") -> dict[str, Any]:
    """Word the answer to a new order: ACK, RESULT or FULL."""
    short = {"symbol", "orderId", "orderListId", "clientOrderId"}
    everything = order(of)
    answer = {name: value for name, value in everything.items() if detail != "ACK" or name in short}
    for name in ("time", "updateTime", "isWorking"):
        answer.pop(name, None)
    answer["transactTime"] = now
    if detail == "FULL":
        answer["fills"] = [
            {
                "price": number(fill.price),
                "qty": number(fill.qty),
                "commission": number(fill.fee),
                "commissionAsset": fill.fee_asset,
                "tradeId": fill.id,
            }
            for fill in of.fills
        ]
    return answer


def cancelled(of: Order, now: int) -> dict[str, Any]:
    """Word the answer to a cancel."""
    answer = placed(of, now, "RESULT")
    return {**answer, "origClientOrderId": of.cid, "clientOrderId": of.cancel_cid}


def order_list(of: OrderList, now: int, *, reports: bool) -> dict[str, Any]:
    """Word a pair of orders."""
    answer: dict[str, Any] = {
        "orderListId": of.id,
        "contingencyType": "OCO",
        "listStatusType": "ALL_DONE" if of.state == "ALL_DONE" else "EXEC_STARTED",
        "listOrderStatus": of.state,
        "listClientOrderId": of.cid,
        "transactionTime": of.time,
        "symbol": of.symbol,
        "orders": [{"symbol": of.symbol, "orderId": leg.id, "clientOrderId": leg.cid} for leg in of.legs],
    }
    if reports:
        answer["orderReports"] = [placed(leg, now, "RESULT") for leg in of.legs]
    return answer


def my_trade(fill: Fill, list_id: int) -> dict[str, Any]:
    """Word a fill as GET /myTrades does."""
    return {
        "symbol": fill.symbol,
        "id": fill.id,
        "orderId": fill.order_id,
        "orderListId": list_id,
        "price": number(fill.price),
        "qty": number(fill.qty),
        "quoteQty": number(fill.notional),
        "commission": number(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.time,
        "isBuyer": fill.side == "BUY",
        "isMaker": fill.is_maker,
        "isBestMatch": True,
    }


def execution_report(of: Order, what: str, fill: Fill | None, now: int) -> dict[str, Any]:
    """Word a change of an order on the user data stream."""
    was_cancelled = what == "CANCELED"
    return {
        "e": "executionReport",
        "E": now,
        "s": of.ask.symbol,
        "c": of.cancel_cid if was_cancelled else of.cid,
        "S": of.ask.side,
        "o": of.ask.kind,
        "f": of.ask.tif,
        "q": number(of.qty),
        "p": number(of.ask.price),
        "P": number(of.ask.stop),
        "F": "0.00000000",
        "g": of.list_id,
        "C": of.cid if was_cancelled else "",
        "x": what,
        "X": of.status,
        "r": "NONE",
        "i": of.id,
        "l": number(fill.qty if fill else 0),
        "z": number(of.filled),
        "L": number(fill.price if fill else 0),
        "n": number(fill.fee if fill else 0),
        "N": fill.fee_asset if fill else None,
        "T": now,
        "t": fill.id if fill else -1,
        "w": of.is_working and of.is_open,
        "m": fill.is_maker if fill else False,
        "O": of.time,
        "Z": number(of.spent),
        "Y": number(fill.notional if fill else 0),
        "Q": number(of.ask.quote_qty),
        "W": of.time,
        "V": "NONE",
    }


def account_position(wallet: Wallet, assets: Iterable[str], now: int) -> dict[str, Any]:
    """Word changed balances on the user data stream."""
    changed = [{"a": one, "f": number(wallet.free(one)), "l": number(wallet.locked(one))} for one in assets]
    return {"e": "outboundAccountPosition", "E": now, "u": now, "B": changed}


def balance_update(asset: str, amount: Decimal, now: int) -> dict[str, Any]:
    """Word a deposit or withdrawal on the user data stream."""
    return {"e": "balanceUpdate", "E": now, "a": asset, "d": number(amount), "T": now}


def account(wallet: Wallet, now: int, fees: tuple[Decimal, Decimal]) -> dict[str, Any]:
    """Word GET /account; ``fees`` are maker and taker fractions."""
    maker, taker = fees
    rates = {"maker": number(maker), "taker": number(taker), "buyer": "0.00000000", "seller": "0.00000000"}
    return {
        "makerCommission": int(maker * 10_000),
        "takerCommission": int(taker * 10_000),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": rates,
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "updateTime": now,
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": number(wallet.free(asset)), "locked": number(wallet.locked(asset))}
            for asset in wallet.assets()
        ],
        "permissions": ["SPOT"],
        "uid": 1,
    }


def symbol(tape: Tape, *, is_halted: bool) -> dict[str, Any]:
    """Word one market of GET /exchangeInfo."""
    rules = tape.rules
    return {
        "symbol": tape.id,
        "status": "BREAK" if is_halted else "TRADING",
        "baseAsset": rules.base,
        "baseAssetPrecision": 8,
        "quoteAsset": rules.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": False,
        "ocoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": number(rules.tick),
                "maxPrice": "10000000.00000000",
                "tickSize": number(rules.tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": number(rules.min_qty),
                "maxQty": "9000000.00000000",
                "stepSize": number(rules.step),
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": number(rules.min_notional),
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 0,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        ],
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }
