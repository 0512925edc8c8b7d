"""The exchange without sockets: market time, who may ask, and which fault meets a request."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from itb.live.practice import refusals
from itb.live.practice.api import ROUTES, Api, Route
from itb.live.practice.faults import WINDOW, Faults
from itb.live.practice.guard import Guard, Meter
from itb.live.practice.pace import LockStep
from itb.live.practice.params import Params
from itb.live.practice.refusals import RefusedError
from itb.live.practice.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from itb.live.practice.orders import Order
    from itb.live.practice.venue import Venue

_TICK_S = 0.02
_PIECE = (0.1, 0.8)
_JUMP_MS = (10_500, 9_500)  # at least and more: ccxt's own window is 10 s


def wall_ms() -> int:
    """UTC milliseconds of this machine."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Reply:
    """What goes back: a JSON value, and how the answer is broken on its way (a fault's kind, or none)."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    broken: str | None = None


@dataclass(frozen=True)
class Call:
    """A request as it came: method, path, parameters, what the signature is made over, the key that was shown."""

    method: str
    path: str
    params: Params
    payload: str = ""
    key: str | None = None


class Exchange:
    """Replays a venue's markets to clients.

    Parameters
    ----------
    venue
        Markets, orders and money.
    speed
        Market seconds per second, ``"max"`` or ``"lockstep"``.
    stop_ms
        Market time at which the replay ends; time then stands still.
    faults, guard, meter
        What goes wrong, who may ask, how often.
    wall
        Wall time, milliseconds; another one for tests.
    is_held
        Market time waits for :meth:`begin`: whoever rehearses is warm by then.
    """

    def __init__(
        self,
        venue: Venue,
        *,
        speed: float | str = 1.0,
        stop_ms: int,
        faults: Faults | None = None,
        guard: Guard | None = None,
        meter: Meter | None = None,
        wall: Callable[[], int] = wall_ms,
        is_held: bool = False,
    ) -> None:
        self.is_held = is_held
        self.venue, self.speed, self.stop_ms = venue, speed, stop_ms
        self.faults, self.guard, self.meter = faults or Faults(), guard or Guard(), meter or Meter()
        self.streams = Streams(venue, self.faults)
        self.steps = LockStep(venue.tapes, venue.now, stop_ms) if speed == "lockstep" else None
        self._late: list[tuple[float, Route, Call]] = []
        self._api, self._wall = Api(venue), wall
        self._begun: tuple[float, int] | None = None
        self._closed_for = self._wrong_for = self._jump_ms = 0
        venue.on_print = self.streams.on_print
        venue.matching.slice_of = self._piece if "partial_fill" in self._planned() else None

    def _planned(self) -> set[str]:
        return {*self.faults.plan.rates, *self.faults.plan.exact}

    # ---- time

    @property
    def is_over(self) -> bool:
        """Whether the replay has ended."""
        return self.venue.now >= self.stop_ms

    def wall(self) -> int:
        """Give what the exchange takes for wall time, milliseconds; a fault may have moved it."""
        return self._wall() + (self._jump_ms if self._wrong_for else 0)

    def catch_up(self) -> None:
        """Bring the markets to what market time is now."""
        if isinstance(self.speed, float) and not self.is_held:
            if self._begun is None:
                self._begun = (time.monotonic(), self.venue.now)
            since, start = self._begun
            self.go_to(start + int((time.monotonic() - since) * 1000 * self.speed))

    def begin(self) -> None:
        """Let market time run."""
        self.is_held = False

    def go_to(self, market_ms: int) -> None:
        """Move market time on, to the end of the replay at most, and tell the listeners."""
        target = min(market_ms, self.stop_ms)
        for arrival in sorted((one for one in self._late if one[0] <= target), key=lambda one: one[0]):
            self._late.remove(arrival)
            due, route, call = arrival
            self.venue.advance(int(due))
            with suppress(RefusedError):
                self._admit(route, call)  # the age is checked again before the engine
                self._do(route, call)
        self.venue.advance(target)
        self.streams.flush()

    async def keep_time(self) -> None:
        """Let market time run until the replay ends (in lock-step clients move it)."""
        while not self.is_over and self.steps is None:
            if self.speed == "max" and not self.is_held:
                self.go_to(self.venue.now + min(tape.timeframe.ms for tape in self.venue.tapes.values()))
                await asyncio.sleep(0)
            else:
                self.catch_up()
                await asyncio.sleep(_TICK_S)

    # ---- requests

    async def answer(self, call: Call) -> Reply:
        """Answer a request, as the faults allow."""
        self.catch_up()
        route = ROUTES.get((call.method, call.path))
        if route is None:
            return _refusal(RefusedError(refusals.UNKNOWN_PATH))
        target, wall = f"{call.method} {call.path}", self._wall()
        try:
            self.meter.count(route.weight, wall, is_order="order" in route.moments)
            kind = self._strike(route, target, wall)
            self._admit(route, call)
        except RefusedError as error:
            return _refusal(error)
        if kind in {"error_before", "timeout_before", "reset_before", "html"}:
            return Reply({}, broken=kind)
        if kind == "late":
            self._take_later(route, call)
            return Reply({}, broken="reset_before" if self.faults.share("late") < 0.5 else "timeout_before")
        reply = self._do(route, call)
        return self._spoil(reply, kind)

    def _do(self, route: Route, call: Call) -> Reply:
        try:
            body = self._api.call(route, call.params)
            return Reply(body)
        except RefusedError as error:
            return _refusal(error)
        finally:
            self.streams.flush()

    def _strike(self, route: Route, target: str, wall: int) -> str | None:
        self._wrong_for = max(0, self._wrong_for - 1)
        self._closed_for = max(0, self._closed_for - 1)
        self.venue.is_halted = self._closed_for > 0
        if self.venue.is_halted:
            raise RefusedError(refusals.NO_LONGER_SERVED)
        kind = self.faults.strike(target, self.venue.now, *route.moments)
        share = self.faults.share(kind) if kind else 0.0
        if kind == "maintenance":
            self._closed_for, self.venue.is_halted = WINDOW, True
            raise RefusedError(refusals.NO_LONGER_SERVED)
        if kind == "overloaded":
            raise RefusedError(refusals.OVERLOADED)
        if kind == "rate_limit":
            self.meter.slow_down(1000)
        if kind == "ban":
            self.meter.ban(1000, wall)
        if kind == "balance_race":
            raise RefusedError(refusals.NO_MONEY)
        if kind == "not_found":
            raise RefusedError(refusals.NO_SUCH_ORDER)
        if kind == "clock_jump":
            first, more = _JUMP_MS
            self._wrong_for, self._jump_ms = WINDOW, (1 if share < 0.5 else -1) * int(first + more * share)
        return kind

    def check_signed(self, call: Call) -> None:
        """Refuse a request whose signature or age is wrong."""
        stamp = call.params.whole("timestamp")
        if stamp is None:
            raise RefusedError(refusals.missing("timestamp"))
        self.guard.check_signature(call.payload, call.params.text("signature"))
        self.guard.check_age(stamp, call.params.whole("recvWindow"), self.wall())

    def _admit(self, route: Route, call: Call) -> None:
        if route.name == "time":
            self.guard.told_time(self.venue.now, self._wall())
        if route.security == "signed":
            self.guard.check_key(call.key)
            self.check_signed(call)

    def _take_later(self, route: Route, call: Call) -> None:
        """Let a request arrive within its window, in market time: the same where time moves by steps."""
        window = (call.params.whole("recvWindow") or 5000) * (self.speed if isinstance(self.speed, float) else 1.0)
        self._late.append((self.venue.now + window * self.faults.share("late"), route, call))

    def _spoil(self, reply: Reply, kind: str | None) -> Reply:
        if kind is None or reply.status != 200:
            return reply
        if kind == "unknown":
            words = refusals.UNEXPECTED_RESPONSE if self.faults.share(kind) < 0.5 else refusals.BACKEND_TIMEOUT
            return _refusal(RefusedError(words))
        if kind == "stale_order":
            was = {"status": "NEW", "executedQty": "0.00000000", "cummulativeQuoteQty": "0.00000000"}
            return Reply({**reply.body, **was})
        if kind.startswith("klines_"):
            return Reply(_spoiled_bars(reply.body, kind, self.faults.share(kind)))
        if kind == "clock_jump":
            return reply
        return Reply(reply.body, broken=kind)

    def _piece(self, order: Order, qty: Decimal) -> Decimal:
        if self.faults.strike(f"order {order.id}", self.venue.now, "fill") is None:
            return qty
        least, more = _PIECE
        return qty * Decimal(repr(least + more * self.faults.share("partial_fill")))


def _refusal(error: RefusedError) -> Reply:
    return Reply(error.body, error.words.status, error.headers)


def _spoiled_bars(rows: list[list[Any]], kind: str, share: float) -> list[list[Any]]:
    if len(rows) < 3:
        return rows
    if kind == "klines_stale":
        return rows[:-2]
    if kind == "klines_missing":
        gone = len(rows) - 2 - int(share * min(4, len(rows) - 2))
        return rows[:gone] + rows[gone + 1 :]
    final = list(rows[-2])  # not yet final: without the last quarter of its volume, at an earlier price
    final[4], final[5] = final[1], f"{0.75 * float(final[5]):.8f}"
    return [*rows[:-2], final, rows[-1]]
