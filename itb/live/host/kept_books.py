"""What one strategy owns as a value: its part of a checkpoint, from which the same account is made again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from backtrader.position import Position

from itb.ledger.trades import TradeSums
from itb.live.host.broker_account import Subaccount
from itb.live.orders.state import EXACT


@dataclass(frozen=True)
class MarketBooks:
    """One symbol: what is held, at which mean price, and its trades; places of bars are those of an earlier life."""

    size: Decimal
    price: float
    trades: TradeSums


@dataclass(frozen=True)
class KeptBooks:
    """A :class:`itb.live.host.broker_account.Subaccount` without its bars and its allotment.

    ``terms`` are those by which executions were booked: by others they would have been booked otherwise.
    """

    terms: str
    spent: Decimal
    fee_account: float
    markets: dict[str, MarketBooks]

    @classmethod
    def of(cls, account: Subaccount) -> KeptBooks:
        """Take it from an account."""
        markets = {
            symbol: MarketBooks(
                account.sizes[symbol], account.positions[symbol].price, account.histories[symbol].sums()
            )
            for symbol in account.sizes
        }
        return cls(
            terms_of(account), EXACT.subtract(account.exact_cash, account.allotment.cash), account.fee_account, markets
        )

    def fits(self, account: Subaccount) -> bool:
        """Whether this is what the account's own executions would come to."""
        return self.terms == terms_of(account)

    def write(self, account: Subaccount) -> None:
        """Write it into a new account that it fits."""
        account.exact_cash = EXACT.add(account.allotment.cash, self.spent)
        account.fee_account = self.fee_account
        for symbol, kept in self.markets.items():
            account.sizes[symbol] = kept.size
            account.positions[symbol] = Position(float(kept.size), kept.price)
            account.histories[symbol].take_up(_placed(kept.trades, account, symbol))


def terms_of(account: Subaccount) -> str:
    """Name what decides how executions are booked: symbols, dust, fee rate and how many trades are kept."""
    allotment = account.allotment
    return "; ".join(
        f"{symbol} {book.dust!r} {allotment.venues[symbol].costs.taker_fee!r} {allotment.keep}"
        for symbol, book in account.histories.items()
    )


def _placed(sums: TradeSums, account: Subaccount, symbol: str) -> TradeSums:
    """Count bars as this life does."""

    def place(time: int) -> int:
        return account.bar_of(symbol, time)[0]

    closed = []
    for trade in sums.closed:
        begin, end = place(trade.entry_time), place(trade.exit_time)
        closed.append(trade._replace(entry_bar=begin, exit_bar=end, bars_held=end - begin))
    entry = sums.entry and replace(sums.entry, bar=place(sums.entry.open_time))
    return replace(sums, closed=tuple(closed), entry=entry)
