"""What a failed request proves: may the order have reached the matching engine? Pure; knows answers, not ccxt.

The name of an exception says little: a cut body looks like a refusal, a lost reply like an outage. Only an answer that
came whole and names a known reason is believed; whatever else happens after a request has left, is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from itb.live.gateways.port import CancelOutcome, NotOpen, NotTaken, Rejected, Submitted, Unknown

TURNED_AWAY = frozenset((403, 418, 429, 451))  # the edge answers, the engine never saw it
_LIMITS = frozenset((-1003, -1015))
_CLOCK = frozenset((-1021, -5028))
_NO_ORDER = frozenset((-2011, -2013))
_REFUSED = frozenset((-1013, -1022, -1100, -1111, -1121, -2010, -2014, -2015, *range(-1131, -1099)))
_REFUSED |= {*range(-2028, -2017), *range(-4199, -3999)}  # of perpetuals
_LEAST_PAUSE_MS = 1_000
_PAUSE_MS = 60_000  # where an exchange turns requests away and does not say for how long

# Of exchanges whose codes are not listed here, by what ccxt calls them. All are answers about the order itself.
_REFUSED_KINDS = frozenset((
    "InsufficientFunds", "InvalidOrder", "OrderNotFillable", "OrderImmediatelyFillable", "BadSymbol", "BadRequest",
    "AuthenticationError", "PermissionDenied", "AccountSuspended", "MarketClosed", "OperationRejected",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over the wire; ``body`` is the parsed JSON, ``None`` for text that is none."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> int | None:
        """The exchange's own code, where it gives a whole number."""
        code = self.body.get("code") if isinstance(self.body, dict) else None
        try:
            return None if code is None else int(code)
        except (TypeError, ValueError):
            return None

    @property
    def said(self) -> str:
        """The exchange's own words."""
        if not isinstance(self.body, dict):
            return ""
        for name in ("msg", "message", "retMsg", "error"):
            if isinstance(self.body.get(name), str):
                return str(self.body[name])
        return ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that brought nothing usable.

    ``kinds`` are the names of the exception's classes, ``was_sent`` is False where nothing left this machine, and
    ``words`` can be shown to anybody.
    """

    kinds: tuple[str, ...]
    words: str
    answer: Answer | None = None
    was_sent: bool = field(default=True, kw_only=True)

    @property
    def is_limit(self) -> bool:
        """Whether the exchange wants fewer requests."""
        answer = self.answer
        return answer is not None and (answer.status in {418, 429} or answer.code in _LIMITS)

    @property
    def is_turned_away(self) -> bool:
        """Whether the request was stopped at the door."""
        return self.is_limit or (self.answer is not None and self.answer.status in TURNED_AWAY)

    @property
    def is_clock(self) -> bool:
        """Whether our time was refused."""
        answer = self.answer
        if answer is None:
            return False
        return answer.code in _CLOCK or (answer.status < 500 and answer.code is None and "InvalidNonce" in self.kinds)

    @property
    def denies_order(self) -> bool:
        """Whether the exchange says that it knows no such order."""
        answer = self.answer
        if answer is None or answer.body is None or answer.status >= 500:
            return False
        return answer.code in _NO_ORDER or (answer.code is None and "OrderNotFound" in self.kinds)

    @property
    def refuses(self) -> bool:
        """Whether a whole answer refuses the order for what it is."""
        answer = self.answer
        if answer is None or not isinstance(answer.body, dict) or answer.status >= 500:
            return False
        if "duplicate" in answer.said.lower() or "DuplicateOrderId" in self.kinds:
            return False  # an order of this name is there
        if answer.code is not None and answer.code < 0:
            return answer.status >= 400 and answer.code in _REFUSED
        return not _REFUSED_KINDS.isdisjoint(self.kinds)


def pause_ms(answer: Answer, wall_ms: int) -> int:
    """Read how long the exchange wants no requests, by this machine's clock; never less than a second.

    >>> pause_ms(Answer(429, {"Retry-After": "7"}, None), 0)
    7000
    >>> pause_ms(Answer(418, {}, {"msg": "IP banned until 1700000090000."}), 1_700_000_000_000)
    90000
    """
    told = next((value for name, value in answer.headers.items() if name.lower() == "retry-after"), "").strip()
    wait: float = _PAUSE_MS
    if re.fullmatch(r"\d+(\.\d+)?", told):
        wait = 1_000 * float(told)
    elif told:
        wait = _until(told, wall_ms)
    elif found := re.search(r"banned until (\d{13})", answer.said):
        wait = int(found[1]) - wall_ms
    return max(_LEAST_PAUSE_MS, round(wait))


def _until(date: str, wall_ms: int) -> float:
    try:
        found = parsedate_to_datetime(date)
    except ValueError:
        return _PAUSE_MS
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000 - wall_ms


def of_submit(failure: Failure, retry_at: int) -> Submitted:
    """Say what a failed order request proves."""
    if failure.is_turned_away:
        return NotTaken(failure.words, retry_at)
    if failure.is_clock:
        return NotTaken(failure.words)
    if not failure.was_sent:  # ccxt itself refuses what cannot be right; anything else may be right later
        return Rejected(failure.words) if "BaseError" in failure.kinds else NotTaken(failure.words, retry_at)
    return Rejected(failure.words) if failure.refuses else Unknown(failure.words)


def of_cancel(failure: Failure, retry_at: int) -> CancelOutcome:
    """Say what a failed cancel proves; a refusal of any other sort leaves the order in doubt."""
    if failure.is_turned_away or (not failure.was_sent and "QuietError" in failure.kinds):
        return NotTaken(failure.words, retry_at)
    if failure.is_clock:
        return NotTaken(failure.words)
    return NotOpen(failure.words) if failure.denies_order else Unknown(failure.words)


def utc_ms() -> int:
    """Read this machine's wall clock, UTC milliseconds."""
    return round(datetime.now(UTC).timestamp() * 1_000)
