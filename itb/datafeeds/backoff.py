"""Asking again: waits that grow, that listen to the other side, and that end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import numpy as np

from itb.errors import GatewayError

Answer = TypeVar("Answer")

_TURNED_AWAY_S = 300.0
_log = logging.getLogger(__name__)


class TransientError(GatewayError):
    """A request failed in a way that may pass; ``retry_after_s`` is how long the other side asked us to wait."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TurnedAwayError(GatewayError):
    """The other side wants no requests of us: to ask again soon makes it worse."""


@dataclass(frozen=True)
class Backoff:
    """How often to ask, and how long to wait in between (seconds).

    The wait before try ``n + 1`` is drawn from the upper half of ``min(longest_s, first_s x factor ** (n - 1))``, so
    that many clients do not come back at the same moment. A wait that the other side asks for is honoured up to
    ``obey_s``; beyond that, giving up is the better answer.

    >>> [Backoff().wait_s(attempt, chance=1.0) for attempt in (1, 2, 3, 9)]
    [1.0, 2.0, 4.0, 60.0]
    >>> Backoff().wait_s(2, chance=0.0)
    1.0
    """

    tries: int = 8
    first_s: float = 1.0
    factor: float = 2.0
    longest_s: float = 60.0
    obey_s: float = 900.0

    def __post_init__(self) -> None:
        if self.tries < 1 or self.first_s < 0 or self.factor < 1 or self.longest_s < self.first_s:
            raise ValueError(
                "tries must be at least 1, first_s at least 0, factor at least 1 and longest_s at least first_s, "
                f"were {self.tries}, {self.first_s}, {self.factor}, {self.longest_s}"
            )

    def wait_s(self, attempt: int, chance: float) -> float:
        """Seconds to wait after failed try ``attempt`` (counted from 1); ``chance`` lies in [0, 1]."""
        return min(self.longest_s, self.first_s * self.factor ** (attempt - 1)) * (0.5 + 0.5 * chance)


class Retrier:
    """Ask until an answer comes or the tries are used up; counts ``requests`` and ``retries``, of all threads.

    ``sleep`` and ``seed`` are given by tests, which neither wait nor throw dice.

    >>> waits: list[float] = []
    >>> answers = iter([TransientError("busy", retry_after_s=7), 42])
    >>> def ask():
    ...     answer = next(answers)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return answer
    >>> retrier = Retrier(sleep=waits.append)
    >>> retrier.call("the answer", ask), waits, retrier.requests, retrier.retries
    (42, [7], 2, 1)
    """

    def __init__(
        self, backoff: Backoff | None = None, *, sleep: Callable[[float], object] = time.sleep, seed: int | None = None
    ) -> None:
        self.backoff = backoff or Backoff()
        self.requests = 0
        self.retries = 0
        self._sleep = sleep
        self._rng = np.random.default_rng(seed)
        self._counting = threading.Lock()

    def call(self, what: str, ask: Callable[[], Answer]) -> Answer:
        """Give the answer of ``ask``; raise :class:`GatewayError` when it failed ``backoff.tries`` times.

        Only :class:`TransientError` is tried again.
        """
        attempt = 1
        while True:
            with self._counting:
                self.requests += 1
            try:
                return ask()
            except TransientError as trouble:
                asked_s = trouble.retry_after_s or 0.0
                if asked_s > self.backoff.obey_s:
                    raise GatewayError(f"{what}: {trouble}; come back in {asked_s:.0f} seconds") from trouble
                if attempt == self.backoff.tries:
                    raise GatewayError(f"{what}: gave up after {attempt} tries, last: {trouble}") from trouble
                _log.info("%s: try %d failed: %s", what, attempt, trouble)
                self.pause(attempt, at_least_s=asked_s)
                attempt += 1

    def pause(self, attempt: int, at_least_s: float = 0.0) -> None:
        """Wait before asking again, and count it as a retry."""
        with self._counting:
            self.retries += 1
            chance = float(self._rng.random())
        self._sleep(max(at_least_s, self.backoff.wait_s(attempt, chance)))


def wanted_pause_s(error: BaseException | None) -> float:
    """Give for how long the other side wants no requests, as a failure tells, 0 where it does not.

    >>> wanted_pause_s(TransientError("busy", 7.0)), wanted_pause_s(TurnedAwayError("banned")), wanted_pause_s(None)
    (7.0, 300.0, 0.0)
    """
    while error is not None:
        if isinstance(error, TurnedAwayError):
            return _TURNED_AWAY_S
        if isinstance(error, TransientError) and error.retry_after_s:
            return error.retry_after_s
        error = error.__cause__
    return 0.0


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Read a ``Retry-After`` header, seconds or an HTTP date; ``None`` when it is absent or unreadable.

    >>> retry_after_s("7"), retry_after_s(None), retry_after_s("soon")
    (7.0, None, None)
    >>> retry_after_s("Thu, 01 Jan 2026 00:01:30 GMT", datetime(2026, 1, 1, tzinfo=UTC))
    90.0
    """
    text = (header or "").strip()
    if text.isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (aware - (now or datetime.now(UTC))).total_seconds())
