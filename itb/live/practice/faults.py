"""What goes wrong when: a plan of faults, drawn from a seed, and the record of what was done."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import blake2b
from typing import NamedTuple

# Each kind strikes at one sort of moment: a chance.
KINDS = {
    "error_before": "request",  # 5xx, nothing was done
    "error_after": "request",  # 5xx, but it was done
    "timeout_before": "request",
    "timeout_after": "request",
    "reset_before": "request",
    "reset_after": "request",
    "cut_json": "request",  # 200, half of the JSON
    "cut_body": "request",  # 200, fewer bytes than promised
    "empty": "request",  # 200, no body
    "html": "request",  # 200, a web page, nothing was done
    "unknown": "change",  # -1006 or -1007, but it was done
    "overloaded": "request",  # -1008, nothing was done
    "rate_limit": "request",  # 429 with Retry-After
    "ban": "request",  # 418 with Retry-After
    "maintenance": "request",  # every request of a window is refused, the markets are halted
    "clock_jump": "request",  # the venue's wall clock is wrong during a window
    "late": "order",  # no answer; it is taken later, as long as its recvWindow allows
    "balance_race": "order",  # -2010 although the money is there
    "not_found": "query",  # -2013 for an order that exists
    "stale_order": "query",  # an order as it was when it was new
    "klines_stale": "klines",  # the newest bars are not there yet
    "klines_revised": "klines",  # the last final bar is not yet what it will be
    "klines_missing": "klines",  # one of the last bars is left out
    "partial_fill": "fill",  # an execution comes in pieces
    "event_lost": "event",
    "event_duplicate": "event",
    "event_late": "event",
    "event_reordered": "event",
    "stream_drop": "frame",  # the connection breaks
    "stream_silence": "frame",  # it stays open and says nothing more
    "stream_malformed": "frame",  # half a frame
}
GROUPS = {
    "requests": ("request", "change", "order", "query"),
    "bars": ("klines",),
    "fills": ("fill",),
    "events": ("event",),
    "streams": ("frame",),
    "all": ("request", "change", "order", "query", "klines", "fill", "event", "frame"),
}
WINDOW = 20  # requests that a maintenance or a wrong clock lasts
_LOGGED = 100_000


class Injected(NamedTuple):
    """A fault that was done: its kind, which chance of that kind, what it hit, at which market time."""

    kind: str
    chance: int
    target: str
    time: int


@dataclass(frozen=True)
class FaultPlan:
    """How often each kind strikes (of 1,000 chances), and at which chances in any case.

    Written as a list of ``KIND=RATE`` and ``KIND@CHANCE`` (counted from 1), where KIND may be a group: ``requests``,
    ``bars``, ``fills``, ``events``, ``streams`` or ``all``; a group's rate is shared out evenly over its kinds.

    >>> plan = FaultPlan.parse("error_after=5, reset_before@3")
    >>> plan.rates, plan.exact
    ({'error_after': 5.0}, {'reset_before': frozenset({3})})
    """

    rates: dict[str, float] = field(default_factory=dict)
    exact: dict[str, frozenset[int]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> FaultPlan:
        """Read a plan; raise ``ValueError`` for a kind that does not exist or a rate above 1,000."""
        rates: dict[str, float] = {}
        exact: dict[str, frozenset[int]] = {}
        for part in filter(None, re.split(r"[,\s]+", text.strip())):
            read = re.fullmatch(r"([a-z_]+)(?:=(\d+(?:\.\d+)?)|@([1-9]\d*))", part)
            if read is None:
                raise ValueError(f'fault must look like "error_after=5" (of 1,000) or "reset_before@3", was {part!r}')
            kinds = _kinds(read[1])
            for kind in kinds:
                if read[2] is None:
                    exact[kind] = exact.get(kind, frozenset()) | {int(read[3])}
                else:
                    rates[kind] = rates.get(kind, 0.0) + float(read[2]) / len(kinds)
        if any(rate > 1000 for rate in rates.values()):
            raise ValueError(f"fault rates are of 1,000 chances, so at most 1000, were {rates}")
        return cls(rates, exact)


def _kinds(name: str) -> list[str]:
    if name in KINDS:
        return [name]
    if name in GROUPS:
        return [kind for kind, moment in KINDS.items() if moment in GROUPS[name]]
    near = get_close_matches(name, [*KINDS, *GROUPS], 1)
    hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join([*GROUPS, *KINDS])}"
    raise ValueError(f"no fault {name!r}; {hint}")


class Faults:
    """Draws faults: the n-th chance of a kind is decided by seed, kind and n alone, whatever else happens.

    >>> faults = Faults(FaultPlan.parse("empty@2"), seed=1)
    >>> [faults.strike("GET /time", 0, "request") for _ in range(3)]
    [None, 'empty', None]
    """

    def __init__(self, plan: FaultPlan | None = None, seed: int = 0) -> None:
        self.plan, self.seed = plan or FaultPlan(), seed
        self.log: deque[Injected] = deque(maxlen=_LOGGED)
        self._kinds = [kind for kind in KINDS if kind in self.plan.rates or kind in self.plan.exact]
        self._chances = dict.fromkeys(self._kinds, 0)

    def end(self) -> None:
        """Strike no more."""
        self._kinds = []

    def strike(self, target: str, time: int, *moments: str) -> str | None:
        """Say which fault strikes at this moment, if any; the first of the list where several would."""
        struck = None
        for kind in self._kinds:
            if KINDS[kind] not in moments:
                continue
            self._chances[kind] += 1
            chance = self._chances[kind]
            strikes = chance in self.plan.exact.get(kind, ()) or self._draw(kind, chance) < self.plan.rates.get(kind, 0)
            if strikes and struck is None:
                struck = kind
                self.log.append(Injected(kind, chance, target, time))
        return struck

    def share(self, kind: str) -> float:
        """Draw a number from [0, 1) that belongs to the newest chance of a kind."""
        return self._draw(f"{kind}/share", self._chances.get(kind, 0)) / 1000

    def _draw(self, kind: str, chance: int) -> float:
        digest = blake2b(f"{self.seed}/{kind}/{chance}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64 * 1000
