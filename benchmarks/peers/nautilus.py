"""nautilus_trader: its bar-driven simulated exchange, risk checks off, its full statistics.

Its market orders fill at the close of the deciding bar, the price it knows when the order comes; the other engines fill
at the next open.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd

# Lives in the peers' own environment, which no type checker of this project sees.
from nautilus_trader.backtest.engine import (  # type: ignore[import-not-found]
    BacktestEngine,
    BacktestEngineConfig,
)
from nautilus_trader.config import LoggingConfig, RiskEngineConfig  # type: ignore[import-not-found]
from nautilus_trader.model.currencies import BTC, USDT  # type: ignore[import-not-found]
from nautilus_trader.model.data import BarType  # type: ignore[import-not-found]
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide  # type: ignore[import-not-found]
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue  # type: ignore[import-not-found]
from nautilus_trader.model.instruments import CurrencyPair  # type: ignore[import-not-found]
from nautilus_trader.model.objects import Money, Price, Quantity  # type: ignore[import-not-found]
from nautilus_trader.persistence.wranglers import BarDataWrangler  # type: ignore[import-not-found]
from nautilus_trader.trading.strategy import Strategy  # type: ignore[import-not-found]

from benchmarks.peers.child import Market, Outcome, Task, serve

VENUE = Venue("BENCH")
SYMBOL = InstrumentId(Symbol("BTCUSDT"), VENUE)
BARS = BarType.from_str(f"{SYMBOL}-1-MINUTE-LAST-EXTERNAL")
PRICE_DIGITS, SIZE_DIGITS = 2, 8


class Threshold(Strategy):  # type: ignore[misc]
    """Enter and leave by the score."""

    def __init__(self, task: Task, instrument: Any, scores: Any) -> None:
        super().__init__()
        self.task, self.instrument, self.scores = task, instrument, scores
        self.bar = -1
        self.held: Any = None

    def on_start(self) -> None:
        self.subscribe_bars(BARS)

    def on_bar(self, bar: Any) -> None:
        self.bar += 1
        score = self.scores[self.bar]
        if self.held is None:
            if score >= self.task.buy:
                equity = self.portfolio.account(VENUE).balance_total(USDT).as_double()
                self.held = self.instrument.make_qty(self.task.quantity(equity, bar.close.as_double()))
                self.send(OrderSide.BUY)
        elif score <= self.task.sell:
            self.send(OrderSide.SELL)
            self.held = None

    def send(self, side: Any) -> None:
        self.submit_order(self.order_factory.market(SYMBOL, side, self.held))


def pair(task: Task) -> Any:
    return CurrencyPair(
        instrument_id=SYMBOL,
        raw_symbol=SYMBOL.symbol,
        base_currency=BTC,
        quote_currency=USDT,
        price_precision=PRICE_DIGITS,
        size_precision=SIZE_DIGITS,
        price_increment=Price(10**-PRICE_DIGITS, PRICE_DIGITS),
        size_increment=Quantity(10**-SIZE_DIGITS, SIZE_DIGITS),
        maker_fee=Decimal(str(task.fee)),
        taker_fee=Decimal(str(task.fee)),
        ts_event=0,
        ts_init=0,
    )


def load(market: Market, task: Task) -> Any:
    engine = BacktestEngine(
        BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), risk_engine=RiskEngineConfig(bypass=True))
    )
    engine.add_venue(VENUE, OmsType.NETTING, AccountType.CASH, [Money(task.cash, USDT)])
    instrument = pair(task)
    engine.add_instrument(instrument)
    # A bar's volume caps what fills at its price; the task knows no such cap, so the default volume stands in.
    columns = {name: getattr(market, name).round(PRICE_DIGITS) for name in ("open", "high", "low", "close")}
    closes_at = pd.DatetimeIndex((market.open_time + 60_000).astype("datetime64[ms]"), tz="UTC")
    engine.add_data(BarDataWrangler(BARS, instrument).process(pd.DataFrame(columns, index=closes_at)))
    engine.add_strategy(Threshold(task, instrument, market.score.tolist()))
    return engine


def run(loaded: Any) -> Any:
    loaded.run()
    return loaded, loaded.get_result()


def tell(made: Any) -> Outcome:
    engine, _ = made
    account = engine.portfolio.account(VENUE)
    coins = account.balance_total(BTC)
    last = engine.cache.bar(BARS).close.as_double()
    fills = sum(order.filled_qty > 0 for order in engine.cache.orders())
    worth = account.balance_total(USDT).as_double() + (coins.as_double() * last if coins else 0.0)
    return Outcome(fills, worth)


if __name__ == "__main__":
    serve(load, run, tell)
