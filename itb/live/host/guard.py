"""The guard around a strategy: what it raises, how long it takes and how much it orders stays its own trouble."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from backtrader import Strategy

    from itb.live.episodes import Episodes

_NOTICES = ("notify_order", "notify_trade", "notify_cashvalue", "notify_fund", "notify_data", "notify_store", "stop")


@runtime_checkable
class StagesOrders(Protocol):
    """A broker that keeps a decision's orders back until the decision is known to be good."""

    def stage(self) -> None:
        """Keep back what is sent from now on."""

    def commit(self) -> None:
        """Let it go."""

    def withdraw(self) -> None:
        """Forget it; the orders end as cancelled."""


class TooManyOrdersError(Exception):
    """A strategy sent more orders in one call than it may."""


@dataclass
class Guard:
    """What one strategy may do, and where its troubles go.

    Parameters
    ----------
    episodes
        Hears of troubles, each once.
    most_orders
        Orders in one call; with one more the call counts as failed.
    limit_s
        How long deciding may take, indicators included; orders of a longer call are withdrawn.
    clock
        Seconds.
    """

    episodes: Episodes
    most_orders: int = 20
    limit_s: float = 5.0
    clock: Callable[[], float] = time.perf_counter
    may_decide: bool = False
    busy_since: float | None = None
    is_deciding: bool = False
    sent: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.most_orders < 1 or not self.limit_s > 0:
            raise ValueError(f"most_orders and limit_s must be above 0, were {self.most_orders} and {self.limit_s}")

    def busy_s(self) -> float:
        """Say for how long the strategy has been at its present bar, 0 if it is done; from any thread."""
        since = self.busy_since
        return 0.0 if since is None else self.clock() - since


def guarded(strategy: type[Strategy], guard: Guard) -> type[Strategy]:
    """Make a subclass that behaves the same, but never lets an exception out and never decides while it may not.

    In a call that raises, takes too long or floods, no order counts. While ``guard.may_decide`` is false the strategy
    gets ``prenext()`` like in any warm-up; its first decision is its ``nextstart()``.
    """
    base: Any = strategy

    class Guarded(base):  # type: ignore[misc]  # the base is known at run time only
        _begun_at = 0

        def _getminperstatus(self) -> int:
            status: int = super()._getminperstatus()
            if status > 0:
                return status
            if not guard.may_decide:
                status = 1
            else:
                self._begun_at = self._begun_at or len(self)
                status = 0 if self._begun_at == len(self) else -1
            self._minperstatus = status
            return status

        def _next(self) -> None:
            guard.busy_since = guard.clock()
            try:
                super()._next()
                guard.episodes.well("indicators")
            except Exception as error:  # noqa: BLE001  an indicator of the user's own may raise anything
                _report(guard, self, "indicators", error)
                self.clear()
            finally:
                guard.busy_since = None

        def buy(self, *args: Any, **kwargs: Any) -> Any:
            return _counted(guard, super().buy, args, kwargs)

        def sell(self, *args: Any, **kwargs: Any) -> Any:
            return _counted(guard, super().sell, args, kwargs)

        def next(self) -> None:
            decide(guard, self, super().next)

        def nextstart(self) -> None:
            decide(guard, self, super().nextstart)

        def prenext(self) -> None:
            decide(guard, self, super().prenext, counts=False)

    for name in _NOTICES:
        setattr(Guarded, name, _contained(getattr(base, name), name, guard))
    Guarded.__name__ = Guarded.__qualname__ = strategy.__name__
    return Guarded


def _counted(guard: Guard, send: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    if len(guard.sent) >= guard.most_orders:
        raise TooManyOrdersError(f"more than {guard.most_orders} orders in one call")
    order = send(*args, **kwargs)
    if order is not None:
        guard.sent.append(order)
    return order


def decide(guard: Guard, strategy: Any, call: Callable[[], None], *, counts: bool = True) -> None:
    """Let a strategy decide: its orders leave together, or not at all where the call raises or takes too long."""
    if guard.is_deciding:  # nextstart() calls next(): one decision
        call()
        return
    broker = strategy.broker
    staging = broker if isinstance(broker, StagesOrders) else None
    if staging is not None:
        staging.stage()
    began = guard.clock() if guard.busy_since is None else guard.busy_since
    is_good, guard.is_deciding, guard.sent = False, True, []
    try:
        call()
        took = guard.clock() - began
        is_good = counts and took <= guard.limit_s
        if took > guard.limit_s:
            guard.episodes.trouble(
                "slow", f"{_name(strategy)}: took {took:.1f} s for a bar, {guard.limit_s:g} s allowed"
            )
        elif counts:
            guard.episodes.well("slow")
        if counts:
            guard.episodes.well("next")
    except Exception as error:  # noqa: BLE001  a strategy of the user's own may raise anything
        _report(guard, strategy, "next", error)
    finally:
        sent, guard.sent, guard.is_deciding = guard.sent, [], False
        if staging is not None:
            (staging.commit if is_good else staging.withdraw)()
        elif not is_good:
            _cancel(strategy, sent)


def _cancel(strategy: Any, orders: list[Any]) -> None:
    for order in orders:
        if order.alive():
            strategy.cancel(order)


def _contained(call: Callable[..., Any], name: str, guard: Guard) -> Callable[..., Any]:
    def safely(self: Any, *args: Any, **kwargs: Any) -> None:
        before, guard.sent = guard.sent, []
        try:
            call(self, *args, **kwargs)
            guard.episodes.well(name)
        except Exception as error:  # noqa: BLE001  as above
            _report(guard, self, name, error)
            _cancel(self, guard.sent)
        finally:
            guard.sent = before

    return safely


def _report(guard: Guard, strategy: Any, where: str, error: Exception) -> None:
    guard.episodes.trouble(where, f"{_name(strategy)}: {type(error).__name__} in {where}: {error}")


def _name(strategy: Any) -> str:
    return type(strategy).__name__
