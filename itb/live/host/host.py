"""The host: one strategy in backtrader's own loop, on history first and then on what the barrier releases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from itb.engine.cerebro import Cerebro
from itb.live.bars.gate import StartGate
from itb.live.episodes import Episode, Episodes
from itb.live.host.broker import LiveBroker
from itb.live.host.feed import Act, Inbox, LiveFeed, Stop, Wake
from itb.live.host.growing import GrowingBars, frame_of
from itb.live.host.guard import Guard, decide, guarded
from itb.live.host.memory import let_go, needed
from itb.live.host.seats import Seats
from itb.strategies.base import Strategy

if TYPE_CHECKING:
    import backtrader as bt

    from itb.indicators.score import ScoreSource
    from itb.live.bars.barrier import Step

_NONE: Mapping[str, Any] = MappingProxyType({})


def _ignore(_episode: Episode) -> None:
    return


@dataclass(frozen=True)
class LiveMarket:
    """One symbol's bars so far and the scores that a strategy reads on them."""

    bars: GrowingBars
    scores: Mapping[str, ScoreSource] = field(default_factory=lambda: _NONE)


@dataclass(frozen=True, slots=True)
class Decided:
    """A step that the strategy is done with: how long it took, and whether it was asked to decide at all."""

    step: Step
    seconds: float
    was_asked: bool


@dataclass(frozen=True)
class Hosting:
    """What a host is told: the gate, where troubles and finished steps go, and what a strategy may do.

    Hosts that share their ``seats`` compute a few at a time.
    """

    gate: StartGate = field(default_factory=StartGate)
    trouble: Callable[[Episode], None] = _ignore
    decided: Callable[[Decided], None] | None = None
    most_orders: int = 20
    limit_s: float = 5.0
    seats: Seats | None = None


class _LiveCerebro(Cerebro):
    """backtrader's loop; before each round it takes the next item of the inbox."""

    host: Any = None

    def _hold_back(self, runstrats: list[Any]) -> None:
        """Leave minimum periods as they are: the guard says when a strategy may decide."""

    def _storenotify(self) -> None:
        super()._storenotify()
        if not self._event_stop and all(feed.is_past_history for feed in self.datas):
            self.host.take_next()


class LiveHost:
    """Run the very strategy class that was backtested on live bars.

    ``broker`` is any backtrader broker. The strategy gets ``prenext()`` on the history and on late steps, and decides
    on fresh ones while the gate is open. :meth:`run` blocks until :meth:`stop`; :meth:`start` gives it a thread. Steps
    come from any thread by :meth:`step`. With :meth:`wake` the loop goes round without a bar, which a broker needs
    whose orders are filled elsewhere; a simulated broker must not be woken inside a bar.
    """

    def __init__(
        self,
        strategy: type[bt.Strategy],
        settings: Mapping[str, Any],
        broker: Any,
        markets: Mapping[str, LiveMarket],
        hosting: Hosting | None = None,
    ) -> None:
        self.hosting = hosting or Hosting()
        frame_of({name: market.bars for name, market in markets.items()})
        self.episodes = Episodes(self.hosting.trouble)
        self.guard = Guard(self.episodes, self.hosting.most_orders, self.hosting.limit_s)
        self.inbox = Inbox()
        self._feeds = {name: LiveFeed(bars=one.bars, scores=one.scores) for name, one in markets.items()}
        self._cerebro = _LiveCerebro(stepping="blind")
        self._cerebro.host = self
        self._cerebro.broker = broker
        if isinstance(broker, LiveBroker):
            broker.meet(self._feeds)
            if issubclass(strategy, Strategy):
                settings = {"history": broker.history, **settings}
        for name, feed in self._feeds.items():
            self._cerebro.adddata(feed, name=name)
        self._cerebro.addstrategy(guarded(strategy, self.guard), **settings)
        self._thread: threading.Thread | None = None
        self._current: tuple[Step, float] | None = None
        self._keep = max((market.bars.keep for market in markets.values()), default=0)
        self.steps = 0
        self.why_ended = ""

    # -- from any thread

    def step(self, step: Step) -> None:
        """Hand a timestamp to the strategy."""
        self.inbox.put(step)

    def wake(self) -> None:
        """Let the loop go round for order notices."""
        self.inbox.put(Wake())

    def act(self, call: Callable[[Any], None]) -> None:
        """Let something be done with the strategy in its own thread, between two bars."""
        self.inbox.put(Act(call))

    def start(self) -> None:
        """Run in a thread of its own."""
        self._thread = threading.Thread(target=self._run_alone, name="host", daemon=True)
        self._thread.start()

    def _run_alone(self) -> None:
        try:
            self.run()
        except BaseException as error:  # noqa: BLE001  a strategy's beginning or end may raise anything, SystemExit too
            self.why_ended = f"has ended by {type(error).__name__}: {error}"

    def stop(self, timeout_s: float = 10.0) -> bool:
        """End after what is in the inbox; give whether the loop has ended in time."""
        self.inbox.put(Stop())
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def has_ended(self) -> bool:
        """Whether its thread was started and is gone."""
        return self._thread is not None and not self._thread.is_alive()

    def is_stuck(self, after_s: float) -> bool:
        """Whether the strategy has been at one bar for longer; the bars of others go on meanwhile."""
        return self.guard.busy_s() > after_s

    # -- in the loop's thread

    def run(self) -> None:
        """Deliver the history, then live steps until :meth:`stop`."""
        self._cerebro.run()
        self._finish()

    @property
    def strategy(self) -> Any:
        """The running strategy, for those who look at it."""
        return self._cerebro.runningstrats[0]

    def take_next(self) -> None:
        """Wait for the next item and prepare the round for it."""
        self._finish()
        item = self.inbox.take()
        self.guard.may_decide = False
        if isinstance(item, Stop):
            self._cerebro.runstop()
        elif isinstance(item, Act):
            strategy = self.strategy
            decide(self.guard, strategy, lambda: item.call(strategy))
        elif not isinstance(item, Wake):
            self._begin(item)

    def _begin(self, step: Step) -> None:
        if self.hosting.seats is not None:
            self.hosting.seats.take(self)
        self.guard.may_decide = not step.is_late and self.hosting.gate.is_open
        for name, bar in step.bars.items():
            if name in self._feeds:
                self._feeds[name].offer(bar)
        self._current = step, self.guard.clock()

    def _finish(self) -> None:
        if self._current is None:
            return
        (step, began), self._current = self._current, None
        if self.hosting.seats is not None:
            self.hosting.seats.leave(self)
        self.steps += 1
        if self._keep and self.steps % self._keep == 0:
            let_go(self.strategy, needed(self.strategy, self._keep))
        if self.hosting.decided is not None:
            self.hosting.decided(Decided(step, self.guard.clock() - began, self.guard.may_decide))
