"""Who may ask, how late and how often: keys, signatures, recvWindow, request weights."""

from __future__ import annotations

import hashlib
import hmac
from collections import deque
from dataclasses import dataclass, field

from itb.live.practice import refusals
from itb.live.practice.refusals import RefusedError

KEY, SECRET = "practice", "practice-secret"
_WINDOW_MS, _LONGEST_MS, _AHEAD_MS = 5000, 60_000, 1000
_ANSWERS = 4096  # answers of GET /time that a client may have set its clock by
_MINUTE_MS, _ORDER_MS, _BAN_MS = 60_000, 10_000, 120_000


def signed(payload: str, secret: str) -> str:
    """Sign as Binance asks: HMAC SHA256 over the parameters, in hexadecimal."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


@dataclass
class Guard:
    """Checks key, signature and age of a signed request.

    Age is judged on wall time, not market time, which may run 600 times as fast. A client that has set its clock by
    GET /time signs with market time as it was then, plus the wall time since: that is as good.
    """

    key: str = KEY
    secret: str = SECRET
    _offsets: deque[int] = field(default_factory=lambda: deque(maxlen=_ANSWERS))

    def told_time(self, market_ms: int, wall_ms: int) -> None:
        """Remember what a client was told by GET /time."""
        offset = market_ms - wall_ms
        if not self._offsets or self._offsets[-1] != offset:
            self._offsets.append(offset)

    def check_key(self, key: str | None) -> None:
        """Refuse a request without the key."""
        if not key:
            raise RefusedError(refusals.NO_KEY)
        if not hmac.compare_digest(key.encode(), self.key.encode()):
            raise RefusedError(refusals.BAD_KEY)

    def check_signature(self, payload: str, signature: str | None) -> None:
        """Refuse a wrong signature."""
        if not signature:
            raise RefusedError(refusals.missing("signature"))
        if not hmac.compare_digest(signed(payload, self.secret).encode(), signature.encode()):
            raise RefusedError(refusals.BAD_SIGNATURE)

    def check_age(self, stamp: int, window: int | None, wall_ms: int) -> None:
        """Refuse a request that is older than its recvWindow or from the future."""
        window = _WINDOW_MS if window is None else window
        if window > _LONGEST_MS:
            raise RefusedError(refusals.WINDOW_TOO_LONG)
        ages = [wall_ms - stamp, *(wall_ms - stamp + offset for offset in self._offsets)]
        if not any(-_AHEAD_MS < age <= window for age in ages):
            raise RefusedError(refusals.AHEAD if min(ages, key=abs) < 0 else refusals.OUTSIDE_WINDOW)


class Meter:
    """Counts request weight per minute and new orders per ten seconds, on wall time; refuses only if ``is_strict``.

    Who goes on after a 429 is banned (418) for two minutes.
    """

    def __init__(self, *, is_strict: bool = False, weight_limit: int = 6000, order_limit: int = 100) -> None:
        self.is_strict, self.weight_limit, self.order_limit = is_strict, weight_limit, order_limit
        self.weight, self.orders = 0, 0
        self._minute, self._span, self._warned, self._banned_until = 0, 0, 0, 0

    def count(self, weight: int, wall_ms: int, *, is_order: bool, address: str = "127.0.0.1") -> None:
        """Count a request, or refuse it."""
        if wall_ms // _MINUTE_MS != self._minute:
            self._minute, self.weight, self._warned = wall_ms // _MINUTE_MS, 0, 0
        if wall_ms // _ORDER_MS != self._span:
            self._span, self.orders = wall_ms // _ORDER_MS, 0
        if wall_ms < self._banned_until:
            self.refuse(self._banned_until, wall_ms, address)
        self.weight += weight
        self.orders += is_order
        if self.is_strict and self.weight > self.weight_limit:
            self._warned += 1
            if self._warned > self.weight_limit // 100:
                self._banned_until = wall_ms + _BAN_MS
                self.refuse(self._banned_until, wall_ms, address)
            self.slow_down(_MINUTE_MS - wall_ms % _MINUTE_MS, address)
        if self.is_strict and self.orders > self.order_limit:
            raise RefusedError(refusals.TOO_MANY_ORDERS, _retry(_ORDER_MS - wall_ms % _ORDER_MS))

    def slow_down(self, wait_ms: int, address: str = "127.0.0.1") -> None:
        """Answer 429."""
        raise RefusedError(refusals.too_heavy(self.weight_limit, address), _retry(wait_ms))

    def ban(self, wait_ms: int, wall_ms: int, address: str = "127.0.0.1") -> None:
        """Answer 418 to everything for a while."""
        self._banned_until = wall_ms + wait_ms
        self.refuse(self._banned_until, wall_ms, address)

    def refuse(self, until_ms: int, wall_ms: int, address: str) -> None:
        """Answer 418."""
        raise RefusedError(refusals.banned(until_ms, address), _retry(until_ms - wall_ms))

    @property
    def headers(self) -> dict[str, str]:
        """What every answer says of the limits."""
        return {"X-MBX-USED-WEIGHT-1M": str(self.weight), "X-MBX-ORDER-COUNT-10S": str(self.orders)}


def _retry(wait_ms: int) -> dict[str, str]:
    return {"Retry-After": str(max(1, -(-wait_ms // 1000)))}
