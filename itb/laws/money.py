"""Law 6, money is conserved: fills and fees explain every cent of the account at every bar."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from itb.laws.result import LawResult
from itb.ledger.equity import Account, replay
from itb.ledger.trades import Trade, TradeBook
from itb.market.bars import Bars, FloatArray, utc
from itb.market.fills import Fill

TOLERANCE = 1e-9  # of the largest sum of money in the account; positions: of the largest position


def check_money(
    bars: Bars,
    fills: Sequence[Fill],
    *,
    start_cash: float,
    equity: FloatArray,
    cash: FloatArray | None = None,
    position: FloatArray | None = None,
    trades: Sequence[Trade] | None = None,
    dust: float = 0.0,
    subject: str = "",
) -> LawResult:
    """Check a run's account against an exact replay of its fills, and its trades against both.

    At every bar ``cash``, ``position`` and ``equity`` must be what the ledger has, within 1e-9 of the largest amount
    in the account; cash and position are looked at where given. All trades together, with the open one and dust
    carried after the last, must have gained what the account gained. ``dust`` is what the trades were gathered with.
    Fills that do not fit the bars break the law.

    >>> from itb.datafeeds.waves import sinus
    >>> bars = sinus(bars=3)
    >>> bought = Fill(1, int(bars.open_time[1]), 1, bars.symbol, 1.0, 10.0, 0.01, 0.01)
    >>> equity = np.array([100.0, 89.99 + bars.close[1], 89.99 + bars.close[2]])
    >>> bool(check_money(bars, [bought], start_cash=100.0, equity=equity))
    True
    >>> print(check_money(bars, [bought], start_cash=100.0, equity=equity + 0.01, subject="x"))
    money: x: BROKEN: equity at bar 0 (2023-01-01 00:00 UTC) is 100.01, fills and fees explain 100
    """
    subject = subject or bars.label
    try:
        account = replay(fills, bars, start_cash)
    except ValueError as error:
        return LawResult("money", subject, passed=False, evidence=str(error))
    money = max(abs(start_cash), *(float(np.abs(part).max()) for part in (account.cash, account.equity, equity)))
    given = {
        "cash": (cash, money),
        "position": (position, float(np.abs(account.position).max())),
        "equity": (equity, money),
    }
    largest = 0.0
    for name, (values, scale) in given.items():
        if values is None:
            continue
        off = np.abs(values - getattr(account, name))
        wrong = ~(off <= TOLERANCE * scale)
        if wrong.any():
            return _broken(name, int(wrong.argmax()), values, account, bars, subject)
        largest = max(largest, float(off.max())) if name != "position" else largest
    if trades is not None:
        gained, explained = float(account.equity[-1]) - start_cash, math.fsum(_gains(fills, bars, trades, dust))
        if not abs(gained - explained) <= TOLERANCE * money * max(1, len(fills)):
            evidence = f"the account gained {gained:.10g}, its {len(trades)} trades explain {explained:.10g}"
            return LawResult(
                "money", subject, passed=False, evidence=evidence, figures={"unexplained": gained - explained}
            )
    evidence = f"{len(fills)} fills explain every one of {len(bars)} bars; the largest rounding is {largest:.1g}"
    return LawResult("money", subject, passed=True, evidence=evidence, figures={"largest_difference": largest})


def _broken(name: str, row: int, values: FloatArray, account: Account, bars: Bars, subject: str) -> LawResult:
    ours, theirs = float(values[row]), float(getattr(account, name)[row])
    where = f"{name} at bar {row} ({utc(bars.open_time[row])})"
    evidence = f"{where} is {ours:.12g}, fills and fees explain {theirs:.12g}"
    return LawResult(
        "money", subject, passed=False, evidence=evidence, figures={"bar": row, "difference": ours - theirs}
    )


def _gains(fills: Sequence[Fill], bars: Bars, trades: Sequence[Trade], dust: float) -> Iterator[float]:
    yield from (trade.pnl for trade in trades)
    book = TradeBook(bars.symbol, dust)
    for fill in fills:
        book.add(fill)
    yield book.adrift(float(bars.close[-1]))
