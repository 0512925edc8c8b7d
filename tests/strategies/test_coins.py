"""What a strategy on several feeds is told of each coin and of the account."""

import re
from pathlib import Path

import numpy as np
import pytest

from itb.backtest.run import Backtest, TradedMarket
from itb.datafeeds.synthetic import SyntheticMarket
from itb.errors import BarsError
from itb.laws.shared import check_shared_causal, check_shared_money, check_shared_parity
from itb.ledger.trades import TradeBook
from itb.market.aggregate import aggregate
from itb.market.timeframe import Timeframe
from itb.strategies.allocation import Allocation
from itb.strategies.base import Strategy
from itb.strategies.protections import MaxDrawdown, StopLossGuard

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "account.md"


@pytest.fixture(scope="module")
def markets():
    made = SyntheticMarket(symbols=("A/USDT", "B/USDT"), bars=400, annual_volatility=2.0).bars()
    return [TradedMarket(bars) for bars in made.values()]


def test_the_strategy_of_the_page_trades_and_keeps_the_laws(markets):
    (code,) = re.findall(r"```python\n(class Dips.*?)```", PAGE.read_text(), re.DOTALL)
    named = {"Strategy": Strategy, "__name__": __name__}
    exec(compile(code, str(PAGE), "exec"), named)
    test = Backtest(named["Dips"], {"allocation": Allocation(max_open_trades=1)})
    result = test.run_shared(markets)
    assert len(result.trades) > 2
    assert result.held.max() == 1
    assert check_shared_parity(test, markets)
    assert check_shared_causal(test, markets)
    assert check_shared_money(result)


class Falling(Strategy):
    """Buys both coins whenever it may, and leaves A two bars later at a loss that is called a stop."""

    def next(self):
        self.__dict__.setdefault("asked", [])
        for coin in self.coins:
            if coin.is_waiting:
                continue
            if coin.held and coin.place == 0 and coin.now >= coin.history.open.entry_time + 2 * self.bar_ms:
                coin.send(-coin.held, "stop")
            elif not coin.held:
                allowed = coin.entries_allowed()
                self.asked.append((len(self), coin.symbol, allowed))
                if allowed:
                    coin.send(0.01, "entry")

    def stop(self):
        ASKED[:] = self.asked


ASKED: list[tuple[int, str, bool]] = []


@pytest.mark.parametrize(
    ("rule", "forbids_b"),
    [
        (StopLossGuard(50, 1, 30, required_profit=9.0), True),
        (StopLossGuard(50, 1, 30, required_profit=9.0, only_per_symbol=True), False),
        (MaxDrawdown(50, 1, 30, max_allowed_drawdown=0.0), True),
    ],
)
def test_a_protection_looks_at_all_symbols_or_at_one(markets, rule, forbids_b):
    class Both(Falling):
        def next(self):
            super().next()
            b = self.coins[1]
            if b.held and not b.is_waiting and len(self) % 10 == 0:
                b.send(-b.held, "user")

    Backtest(Both, {"protections": (rule,)}).run_shared(markets)
    asked_b = [allowed for step, symbol, allowed in ASKED if symbol == "B/USDT" and step > 12]
    assert any(not allowed for _, symbol, allowed in ASKED if symbol == "A/USDT")
    assert (not all(asked_b)) == forbids_b


def test_histories_of_several_symbols_may_come_from_elsewhere(markets):
    books = {one.bars.symbol: TradeBook(one.bars.symbol) for one in markets}

    class Told(Strategy):
        def next(self):
            assert [coin.history for coin in self.coins] == list(books.values())
            assert self.closed == []

    Backtest(Told, {"history": books}).run_shared(markets)


def test_an_allocation_says_how_much_each_gets():
    assert [Allocation().share(4), Allocation(2).share(4), Allocation(9).share(4)] == [0.25, 0.5, 0.25]
    with pytest.raises(ValueError, match="max_open_trades must be 0 or more, was -1"):
        Allocation(-1)
    with pytest.raises(ValueError, match=r"equity_share must be a fraction in \[0, 1\], was 1.5"):
        Allocation(equity_share=1.5)


def test_markets_that_cannot_share_an_account_are_refused(markets):
    test, (one, _) = Backtest(Falling), markets
    with pytest.raises(BarsError, match="needs at least one symbol"):
        test.run_shared([])
    with pytest.raises(BarsError, match="A/USDT: is there twice"):
        test.run_shared([one, one])
    longer = aggregate(markets[1].bars, Timeframe.parse("4h"))
    with pytest.raises(BarsError, match="B/USDT 4h: expected bars of 1h"):
        test.run_shared([one, TradedMarket(longer)])
    early = TradedMarket(markets[1].bars.head(50))
    with pytest.raises(BarsError, match="B/USDT 1h: nothing to trade from"):
        test.run_shared([one, early], int(one.bars.open_time[60]))
    assert np.isfinite(test.run_shared([one, early]).equity).all()
