"""Law 4 beyond the backtest: what a strategy decided, ordered and got, in a backtest and live, one beside the other."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.laws.decisions import decisions
from itb.ledger.difference import Difference, first_difference
from itb.market.bars import utc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from itb.backtest.result import BacktestResult
    from itb.market.bars import FloatArray, IntArray
    from itb.market.fills import Fill

_ALIVE = {"submitted", "accepted"}
_QTY = 1e-12
_WORTH = 1e-9
_SURE = 1_000


@dataclass(frozen=True)
class Within:
    """How far prices and fees may lie apart: not at all, or by the decimals that a venue writes money with.

    What an account is worth follows from them, and so does the next quantity, a multiple of ``step``.
    """

    price: float = 0.0
    fee: float = 0.0
    fee_share: float = 1e-12
    step: float = 0.0

    @classmethod
    def decimals(cls, count: int, step: float = 0.0) -> Within:
        """Let a venue round every price and every fee down to so many decimals.

        >>> Within.decimals(8)
        Within(price=1e-08, fee=1e-08, fee_share=1e-12, step=0.0)
        """
        return cls(10.0**-count, 10.0**-count, step=step)

    def quantities(self, fills: Sequence[Fill]) -> float:
        """Say by which share a run's quantities may lie apart, by what all of its fills were rounded by.

        Coins of a cent each are bought by the million: there the eighth decimal of a price is much more than a step.
        Where all of it is less than a thousandth of a step, no quantity may differ.
        """
        traded = [fill for fill in fills if fill.qty]  # funding trades nothing
        if not traded:
            return 0.0
        lost = sum(self.price * abs(fill.qty) + self.fee for fill in traded)
        share = lost / min(abs(fill.qty * fill.price) for fill in traded)
        steps = self.step / min(abs(fill.qty) for fill in traded)
        return max(share, steps) if share > steps / _SURE else 0.0


@dataclass(frozen=True)
class Apart:
    """The first thing in which two runs differ: a decision, an order, a fill or the account, when, and why."""

    what: str
    open_time: int
    text: str
    cause: str

    def __str__(self) -> str:
        return f"{self.text} (cause: {self.cause})"


@dataclass(frozen=True)
class Compared:
    """Two runs beside each other: how much of each was compared until the first difference, ``None`` if there is none.

    A decision is what was made of one bar: its orders, or none.
    """

    names: tuple[str, str]
    decisions: int
    orders: int
    fills: int
    apart: Apart | None = None

    @property
    def agrees(self) -> bool:
        """Whether all was the same."""
        return self.apart is None


@dataclass(frozen=True)
class ScoreApart:
    """A bar about which two sources of one score column say different things, and why."""

    column: str
    open_time: int
    ours: float
    theirs: float
    cause: str


def compare(
    one: BacktestResult,
    other: BacktestResult,
    names: tuple[str, str],
    within: Within | None = None,
    scores: Sequence[ScoreApart] = (),
) -> Compared:
    """Compare two runs of one strategy over the same bars, decision by decision.

    ``scores`` are differences between the scores that the two read: where one comes first, it is the cause. Orders that
    are unfinished at the end count as they were sent: nobody was told any more what became of them.
    """
    found = _first_apart(one, other, names, within or Within())
    bars = len(one.bars) - one.start
    if found is None:
        return Compared(names, bars, len(one.orders), len(one.fills))
    what, difference = found
    apart = Apart(what, _time(one, difference), difference.text, _cause(one, other, what, difference, scores))
    until = int(one.bars.open_time.searchsorted(apart.open_time))
    return Compared(
        names, max(0, until - one.start), sum(order.bar < until for order in one.orders),
        sum(fill.bar < until for fill in one.fills), apart,
    )  # fmt: skip


def _time(run: BacktestResult, difference: Difference) -> int:
    return int(run.bars.open_time[min(difference.bar, len(run.bars) - 1)])


def _first_apart(
    one: BacktestResult, other: BacktestResult, names: tuple[str, str], within: Within
) -> tuple[str, Difference] | None:
    """Give the earliest difference; on the same bar a fill comes before the decision that follows from it."""
    found: list[tuple[str, Difference]] = []
    share = within.quantities(one.fills)
    ours, theirs = one.fills, _as_near(one.fills, other.fills, within, share)
    filled = first_difference(ours, theirs, names=names, tolerance=_QTY)
    if filled is not None:
        found.append(("fill", filled))
    sent = first_difference(decisions(one), decisions(other), names=names, tolerance=max(_QTY, share))
    if sent is not None:
        found.append(("decision", dataclasses.replace(sent, bar=sent.bar + one.start)))
    ended = _ended_apart(one, other, names, share)
    if ended is not None:
        found.append(("order", ended))
    if not found:
        worth = _worth_apart(one, other, names, within, share)
        if worth is not None:
            found.append(("account", worth))
    return min(found, key=lambda pair: pair[1].bar, default=None)


def _as_near(ours: Sequence[Fill], theirs: Sequence[Fill], within: Within, share: float) -> list[Fill]:
    """Give their fills, with our quantity, price and fee where those are as near as a venue's decimals allow."""
    near = [_as_near_one(mine, fill, within, share) for mine, fill in zip(ours, theirs, strict=False)]
    return [*near, *theirs[len(near) :]]


def _as_near_one(mine: Fill, fill: Fill, within: Within, share: float) -> Fill:
    rounded = within.price * abs(mine.qty)  # the fee of a price that was rounded
    is_near_qty = abs(mine.qty - fill.qty) <= share * abs(mine.qty)
    fee_share = max(within.fee_share, share)

    def near(told: float, kept: float, unit: float) -> float:
        is_near = abs(told - kept) <= within.fee * unit + rounded + fee_share * abs(kept)
        return kept if is_near else told

    return dataclasses.replace(
        fill,
        qty=mine.qty if is_near_qty else fill.qty,
        price=mine.price if abs(mine.price - fill.price) <= within.price else fill.price,
        fee=near(fill.fee, mine.fee, 1.0),
        fee_quote=near(fill.fee_quote, mine.fee_quote, mine.price if mine.fee_currency == "base" else 1.0),
    )


def _ended_apart(one: BacktestResult, other: BacktestResult, names: tuple[str, str], share: float) -> Difference | None:
    for place, (ours, theirs) in enumerate(zip(one.orders, other.orders, strict=False)):
        if ours.bar != theirs.bar or _ALIVE & {ours.status, theirs.status}:
            continue
        if ours.status != theirs.status or abs(ours.filled - theirs.filled) > max(_QTY, share * abs(ours.filled)):
            when = utc(one.bars.open_time[ours.bar])
            told = f"is {ours.status} in {names[0]}, {theirs.status} in {names[1]}"
            filled = f"filled {ours.filled:.10g} and {theirs.filled:.10g}"
            text = f"order {place}, bar {ours.bar} ({when}): a {ours.kind} order of {ours.qty:.10g} {told}, {filled}"
            return Difference(place, ours.bar, "status", text)
    return None


def _worth_apart(
    one: BacktestResult, other: BacktestResult, names: tuple[str, str], within: Within, share: float
) -> Difference | None:
    largest = max((abs(fill.qty) for fill in one.fills), default=0.0)
    unit = float(one.bars.close.max()) if one.costs.fee_currency == "base" else largest
    rounded = 3 * len(one.fills) * within.fee * (1 + unit)  # worth, price and fee of each fill
    for what in ("position", "cash", "equity"):
        ours, theirs = getattr(one, what), getattr(other, what)
        wrong = np.flatnonzero(~np.isclose(ours, theirs, rtol=max(_WORTH, share), atol=_WORTH + rounded))
        if len(wrong):
            bar = int(wrong[0])
            text = f"{what} at bar {bar} ({utc(one.bars.open_time[bar])}) is {ours[bar]!r} in {names[0]}, "
            return Difference(0, bar, what, f"{text}{theirs[bar]!r} in {names[1]}")
    if one.blocked != other.blocked:
        last = len(one.bars) - 1
        return Difference(0, last, "blocked", f"protections held back {dict(one.blocked)} and {dict(other.blocked)}")
    return None


def _cause(
    one: BacktestResult, other: BacktestResult, what: str, apart: Difference, scores: Sequence[ScoreApart]
) -> str:
    when = _time(one, apart)
    before = [score for score in scores if score.open_time <= when]
    if before:
        first = min(before, key=lambda score: score.open_time)
        told = f"{first.column} said {first.ours!r} and {first.theirs!r} about {utc(first.open_time)}"
        return f"score: {first.cause}; {told}"
    times = set(one.bars.open_time.tolist()) ^ set(other.bars.open_time.tolist())
    missing = [time for time in times if time <= when]
    if missing:
        return f"missing bar: {utc(min(missing))}"
    refused = [
        rejection for run in (one, other) for rejection in run.rejected if apart.bar - 1 <= rejection.bar <= apart.bar
    ]
    if refused and len(one.rejected) != len(other.rejected):
        return f"filter or limit: {refused[0].why}"
    if what == "fill":
        named = {"price": "price model", "fee": "fee", "fee_quote": "fee", "qty": "filter"}
        return named.get(apart.what, "an order that only one of them filled: price model")
    if what == "account":
        return "fees or their rounding"
    return "none of those that are known: the same scores and fills led to it; please report it"


def scores_apart(
    column: str,
    open_time: IntArray,
    ours: FloatArray,
    theirs: FloatArray,
    causes: Mapping[int, str],
) -> list[ScoreApart]:
    """List the bars about which two sources of a column differ; ``causes`` by open time, where one is known.

    >>> import numpy as np
    >>> nan = np.nan
    >>> scores_apart("up", np.array([0, 60]), np.array([nan, 0.5]), np.array([nan, 0.6]), {60: "late model"})
    [ScoreApart(column='up', open_time=60, ours=0.5, theirs=0.6, cause='late model')]
    """
    apart = np.flatnonzero(~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs))))
    rows: list[int] = apart.tolist()
    return [
        ScoreApart(
            column, int(open_time[row]), float(ours[row]), float(theirs[row]),
            causes.get(int(open_time[row]), "unknown"),
        )
        for row in rows
    ]  # fmt: skip
