from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import backtrader as bt
import pytest

from itb.datafeeds.waves import sinus
from itb.engine.venue import Venue
from itb.engine.venue_broker import VenueBroker
from itb.errors import BarsError
from itb.live.bars.bar import rows_of
from itb.live.bars.barrier import Step
from itb.live.bars.gate import StartGate
from itb.live.episodes import Episode
from itb.live.host.growing import GrowingBars
from itb.live.host.host import Decided, Hosting, LiveHost, LiveMarket
from itb.market.bars import Bars
from itb.strategies.base import Strategy

WARM = 20


class Recorder(Strategy):
    """Writes down what it is called for; ``act`` is what it does at each decision."""

    params: Any = (("act", None), ("seen", None))

    def prenext(self) -> None:
        self.p.seen.append(("warm", len(self.data)))

    def next(self) -> None:
        self.p.seen.append(("next", len(self.data)))
        if self.p.act is not None:
            self.p.act(self)


class Scene:
    """A strategy on bars of one or two symbols, run in the test's own thread."""

    def __init__(
        self,
        bars: Bars,
        act: Callable[[Any], None] | None = None,
        strategy: type[Strategy] = Recorder,
        *,
        steps: list[Step] | None = None,
        **hosting: Any,
    ) -> None:
        self.seen: list[tuple[str, int]] = []
        self.troubles: list[Episode] = []
        self.decided: list[Decided] = []
        self.broker = VenueBroker(venue=Venue())
        told = Hosting(trouble=self.troubles.append, decided=self.decided.append, **hosting)
        market = LiveMarket(GrowingBars(bars.head(WARM)))
        self.host = LiveHost(strategy, {"act": act, "seen": self.seen}, self.broker, {bars.symbol: market}, told)
        for step in steps_of(bars) if steps is None else steps:
            self.host.step(step)
        self.host.stop()

    def run(self) -> Scene:
        self.host.run()
        return self

    def begun(self) -> list[tuple[str, bool]]:
        return [(told.key, told.is_over) for told in self.troubles]


def steps_of(bars: Bars, late: tuple[int, ...] = ()) -> list[Step]:
    rows = rows_of(bars)
    return [
        Step(row.open_time, {bars.symbol: row}, is_late=place in late)
        for place, row in enumerate(rows)
        if place >= WARM
    ]


def test_history_warms_up_and_the_first_live_bar_is_the_first_decision(bars: Bars) -> None:
    seen = Scene(bars).run().seen
    assert seen == [("warm", i) for i in range(1, WARM + 1)] + [("next", i) for i in range(WARM + 1, len(bars) + 1)]


def test_late_steps_move_the_strategy_but_do_not_ask_it(bars: Bars) -> None:
    scene = Scene(bars, steps=steps_of(bars, late=(WARM, WARM + 3))).run()
    warm = [number for what, number in scene.seen if what == "warm"]
    assert warm == [*range(1, WARM + 1), WARM + 1, WARM + 4]
    assert [told.was_asked for told in scene.decided].count(False) == 2


def test_nothing_is_decided_while_the_gate_is_shut(bars: Bars) -> None:
    gate = StartGate(("reconciliation",))
    scene = Scene(bars, lambda strategy: gate.hold("journal"), gate=gate)
    assert not [one for one in scene.run().seen if one[0] == "next"]
    gate.clear("reconciliation")
    again = Scene(bars, lambda strategy: gate.hold("journal"), gate=gate).run()
    assert [one for one in again.seen if one[0] == "next"] == [("next", WARM + 1)]


def test_nextstart_is_the_first_decision_and_comes_once(bars: Bars) -> None:
    class Starting(Recorder):
        def nextstart(self) -> None:
            self.p.seen.append(("nextstart", len(self.data)))

    scene = Scene(bars, strategy=Starting, steps=steps_of(bars, late=(WARM, WARM + 1))).run()
    assert [one for one in scene.seen if one[0] != "warm"][:2] == [("nextstart", WARM + 3), ("next", WARM + 4)]


def test_a_strategy_that_raises_is_told_once_sends_nothing_and_goes_on(bars: Bars) -> None:
    def act(strategy: Any) -> None:
        if len(strategy.data) in (25, 26, 27):
            strategy.buy(size=1)
            raise ZeroDivisionError("of all things")

    scene = Scene(bars, act).run()
    assert scene.begun() == [("next", False), ("next", True)]
    assert scene.troubles[0].text == "Recorder: ZeroDivisionError in next: of all things"
    assert scene.troubles[1].count == 3
    assert scene.broker.log == []
    assert len([one for one in scene.seen if one[0] == "next"]) == len(bars) - WARM


def test_a_flood_of_orders_is_stopped_and_none_of_them_counts(bars: Bars) -> None:
    def act(strategy: Any) -> None:
        for _ in range(1_000 if len(strategy.data) == 25 else 0):
            strategy.buy(size=0.001)

    scene = Scene(bars, act, most_orders=5).run()
    assert "more than 5 orders in one call" in scene.troubles[0].text
    assert len(scene.broker.sent) == 5
    assert scene.broker.log == []


def test_a_decision_that_takes_too_long_sends_nothing(bars: Bars) -> None:
    scene = Scene(bars, limit_s=3.0)
    time = [0.0]

    def act(strategy: Any) -> None:
        if len(strategy.data) == 25:
            time[0] += 3.5
            strategy.buy(size=1)

    scene = Scene(bars, act, limit_s=3.0)
    scene.host.guard.clock = lambda: time[0]
    scene.run()
    assert scene.troubles[0].text == "Recorder: took 3.5 s for a bar, 3 s allowed"
    assert scene.begun() == [("slow", False), ("slow", True)]
    assert scene.broker.log == []
    assert max(told.seconds for told in scene.decided) == 3.5


def test_orders_of_the_warm_up_are_withdrawn(bars: Bars) -> None:
    class Hasty(Recorder):
        def prenext(self) -> None:
            self.buy(size=1)

    assert Scene(bars, strategy=Hasty).run().broker.log == []


def test_an_order_that_is_fine_fills_at_the_next_open(bars: Bars) -> None:
    def act(strategy: Any) -> None:
        if len(strategy.data) == 25:
            strategy.buy(size=1)

    (fill,) = Scene(bars, act).run().broker.log
    assert (fill.bar, fill.market_price) == (25, bars.open[25])


def test_a_notice_that_raises_does_not_lose_the_decision(bars: Bars) -> None:
    class Deaf(Recorder):
        def notify_order(self, order: Any) -> None:
            raise KeyError("order")

    def act(strategy: Any) -> None:
        if len(strategy.data) == 25:
            strategy.buy(size=1)

    scene = Scene(bars, act, strategy=Deaf).run()
    assert scene.begun()[0] == ("notify_order", False)
    assert len(scene.broker.log) == 1
    assert len([one for one in scene.seen if one[0] == "next"]) == len(bars) - WARM


def test_an_indicator_that_raises_costs_its_bar_only(bars: Bars) -> None:
    class Brittle(bt.Indicator):
        lines: Any = ("value",)

        def next(self) -> None:
            if len(self.data) == 25:
                raise ValueError("brittle")
            self.lines.value[0] = self.data.close[0]

    class Using(Recorder):
        def __init__(self) -> None:
            super().__init__()
            self.value = Brittle(self.data)

    scene = Scene(bars, strategy=Using).run()
    assert scene.begun() == [("indicators", False), ("indicators", True)]
    asked = [number for what, number in scene.seen if what == "next"]
    assert asked == [number for number in range(WARM + 1, len(bars) + 1) if number != 25]


def test_a_host_in_a_thread_of_its_own_decides_wakes_and_stops(bars: Bars) -> None:
    done = threading.Event()
    market = LiveMarket(GrowingBars(bars.head(WARM)))
    seen: list[tuple[str, int]] = []
    hosting = Hosting(decided=lambda told: done.set())
    host = LiveHost(Recorder, {"seen": seen}, VenueBroker(), {bars.symbol: market}, hosting)
    host.start()
    host.step(steps_of(bars)[0])
    host.wake()  # the round after a step's is when the step is done
    assert done.wait(60)
    assert host.stop(60)
    assert [one for one in seen if one[0] == "next"] == [("next", WARM + 1)]
    assert not host.is_stuck(60.0)


def test_a_strategy_that_blocks_is_seen_from_outside(bars: Bars) -> None:
    entered, leave = threading.Event(), threading.Event()

    def act(strategy: Any) -> None:
        entered.set()
        leave.wait(60)

    market = LiveMarket(GrowingBars(bars.head(WARM)))
    host = LiveHost(Recorder, {"seen": [], "act": act}, VenueBroker(), {bars.symbol: market})
    host.start()
    host.step(steps_of(bars)[0])
    assert entered.wait(60)
    assert host.is_stuck(0.0)
    leave.set()
    assert host.stop(60)


def test_two_symbols_are_stepped_together_and_one_alone_moves_alone(bars: Bars) -> None:
    lengths: list[tuple[int, int]] = []

    class Two(Strategy):
        def next(self) -> None:
            lengths.append((len(self.datas[0]), len(self.datas[1])))

    markets = {name: LiveMarket(GrowingBars(bars.head(WARM))) for name in ("A", "B")}
    host = LiveHost(Two, {}, VenueBroker(), markets)
    rows = rows_of(bars)
    for place in range(WARM, WARM + 5):
        names = ("A",) if place == WARM + 2 else ("A", "B")
        host.step(Step(rows[place].open_time, dict.fromkeys(names, rows[place])))
    host.stop()
    host.run()
    assert lengths == [(21, 21), (22, 22), (23, 22), (24, 23), (25, 24)]


def test_growing_bars_refuse_what_does_not_follow(bars: Bars) -> None:
    growing = GrowingBars(bars.head(WARM))
    with pytest.raises(BarsError, match="does not come after"):
        growing.append(rows_of(bars)[3])
    assert growing.place(int(bars.open_time[3])) == 3
    assert growing.place(int(bars.open_time[WARM])) == -1


def test_what_was_given_out_stays_when_more_bars_come() -> None:
    bars = sinus(bars=3_000)
    growing = GrowingBars(bars.head(10))
    early = growing.tail(10)
    for row in rows_of(bars)[10:]:
        growing.append(row)
    assert early.equals(bars.head(10))
    assert growing.until(500, 100).equals(bars.slice(400, 500))
    assert growing.tail(3_000).equals(bars)
