"""Universe: which markets are worth looking at, by what their bars had shown at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from itb.datafeeds.universe_rules import ListingAge, QuoteVolume, Rule, Seen
from itb.market.bars import Bars, utc
from itb.market.timeframe import DAY_MS

VOLUME = QuoteVolume.name
_NOTHING: Mapping[str, float] = {}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A market that may belong: its bars, of any range, and when the first that is stored opens (UTC milliseconds)."""

    bars: Bars
    listed_ms: int

    @classmethod
    def of(cls, bars: Bars) -> Candidate:
        """Take bars that begin where the market does; there must be one."""
        return cls(bars, int(bars.open_time[0]))


@dataclass(frozen=True)
class Judged:
    """Whether a market belongs, why or why not, and its figures by the name of the rule, if anything is known."""

    symbol: str
    is_member: bool
    why: str
    figures: Mapping[str, float] = field(default_factory=dict)


class Change(NamedTuple):
    """What a refresh changed."""

    time_ms: int
    members: tuple[str, ...]
    joined: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True)
class Universe:
    """Markets chosen by rules, beside those that always belong and those that are owned.

    Whoever is blacklisted is out. Else a market belongs if it is in ``always``, if what is owned of it is worth more
    than ``owned_above`` (quote), or if no rule objects; of these last the ``most`` with the largest quote volume stay
    (0: all). A market belongs only once a bar of it has closed, and while one has within ``window_ms``. Only bars that
    have closed by then are looked at, so later ones change nothing.

    >>> from itb.datafeeds.synthetic import SyntheticMarket
    >>> market = SyntheticMarket(bars=200)
    >>> coins = [Candidate.of(bars) for bars in market.bars().values()]
    >>> young = Universe(rules=(QuoteVolume(), ListingAge(3 * DAY_MS)))
    >>> [one.why for one in young.judge(coins, market.start_ms + 2 * DAY_MS)][:1]
    ['known for 2.0 days, 3.0 are asked for']
    """

    rules: tuple[Rule, ...] = (QuoteVolume(), ListingAge())
    always: tuple[str, ...] = ()
    blacklist: tuple[str, ...] = ()
    window_ms: int = DAY_MS
    owned_above: float = 1.0
    most: int = 0

    def __post_init__(self) -> None:
        if self.window_ms <= 0:
            raise ValueError(f"window must be longer than 0, was {self.window_ms} ms")
        if self.most and VOLUME not in {rule.name for rule in self.rules}:
            raise ValueError("most needs the rule of the quote volume: it ranks by it")

    def judge(
        self, candidates: Iterable[Candidate], at_ms: int, owned: Mapping[str, float] = _NOTHING
    ) -> tuple[Judged, ...]:
        """Judge every market by what was known at ``at_ms``; members first, larger quote volumes before smaller ones.

        ``owned`` says what is held of each symbol, in quote.
        """
        judged = [self._one(candidate, at_ms, owned.get(candidate.bars.symbol, 0.0)) for candidate in candidates]
        ranked = sorted(judged, key=lambda one: (not one.is_member, -one.figures.get(VOLUME, 0.0), one.symbol))
        return tuple(sorted(self._within(ranked), key=lambda one: not one.is_member))

    def members(
        self, candidates: Iterable[Candidate], at_ms: int, owned: Mapping[str, float] = _NOTHING
    ) -> tuple[str, ...]:
        """Name the markets that belong at ``at_ms``."""
        return tuple(one.symbol for one in self.judge(candidates, at_ms, owned) if one.is_member)

    def _one(self, candidate: Candidate, at_ms: int, owned: float) -> Judged:
        symbol = candidate.bars.symbol
        if symbol in self.blacklist or symbol.partition("/")[0] in self.blacklist:
            return Judged(symbol, is_member=False, why="blacklisted")
        frame_ms = candidate.bars.timeframe.ms
        if candidate.listed_ms + frame_ms > at_ms:
            return Judged(symbol, is_member=False, why="no bar of it has closed yet")
        begin = at_ms - self.window_ms
        bars = candidate.bars.between(max(0, begin - frame_ms + 1), at_ms - frame_ms + 1)  # closed in (begin, at]
        if not len(bars):
            return Judged(symbol, is_member=False, why=f"no bar of it has closed since {utc(begin)}")
        seen = Seen(symbol, bars, candidate.listed_ms, at_ms, self.window_ms)
        figures = {rule.name: rule.measure(seen) for rule in self.rules}
        if symbol in self.always:
            return Judged(symbol, is_member=True, why=ALWAYS, figures=figures)
        if owned > self.owned_above:
            return Judged(symbol, is_member=True, why=OWNED, figures=figures)
        objections = [told for rule in self.rules if (told := rule.objection(figures[rule.name]))]
        return Judged(symbol, not objections, "; ".join(objections) or BY_RULE, figures)

    def _within(self, ranked: Iterable[Judged]) -> Iterator[Judged]:
        kept = 0
        for one in ranked:
            by_rule = one.is_member and one.why == BY_RULE
            kept += by_rule
            if by_rule and self.most and kept > self.most:
                told = f"{self.most} others trade more"
                yield replace(one, is_member=False, why=told)
            else:
                yield one


ALWAYS, OWNED, BY_RULE = "always", "owned", "by rule"


def refreshes(start_ms: int, stop_ms: int, every_ms: int) -> tuple[int, ...]:
    """Say when members are chosen anew in ``[start_ms, stop_ms)``: at the start, then at multiples of ``every_ms``.

    >>> refreshes(25, 60, 10)
    (25, 30, 40, 50)
    """
    if every_ms <= 0:
        raise ValueError(f"refresh_every must be longer than 0, was {every_ms} ms")
    first = (start_ms // every_ms + 1) * every_ms
    return (start_ms, *range(first, stop_ms, every_ms)) if start_ms < stop_ms else ()


def changes(choose: Callable[[int], tuple[str, ...]], times: Iterable[int]) -> Iterator[Change]:
    """Choose at each time and give the refreshes that changed something, the first one always."""
    before: tuple[str, ...] | None = None
    for time_ms in times:
        members = choose(time_ms)
        earlier = before or ()
        joined = tuple(symbol for symbol in members if symbol not in earlier)
        left = tuple(symbol for symbol in earlier if symbol not in members)
        if before is None or joined or left:
            yield Change(time_ms, members, joined, left)
        before = members
