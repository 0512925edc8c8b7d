"""One life of a bot: put together, run, and brought to an end in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from itb.errors import ModelError
from itb.live.bars.gate import StartGate
from itb.live.bars.pump import Sinks
from itb.live.bars.timekeeper import Timekeeper
from itb.live.gateways.ccxt_bars import CcxtBars
from itb.live.gateways.ccxt_news import follow_orders
from itb.live.gateways.ccxt_perpetuals import gateway_on
from itb.live.host.growing import GrowingBars
from itb.live.run.account import Account, Lane
from itb.live.run.bars import MarketClock, build_pump, load_histories
from itb.live.run.chronicle import Chronicle
from itb.live.run.control import ControlServer
from itb.live.run.drifting import Drift
from itb.live.run.ending import as_told, cause_of, end_account, why
from itb.live.run.engine import RECONCILED, Engine, not_live
from itb.live.run.event_log import EventLog, Kind
from itb.live.run.health import Change, HealthBoard
from itb.live.run.metrics import Metrics
from itb.live.run.outlook import Outlook
from itb.live.run.rehearsal import MarketTime
from itb.market.bars import OHLCV
from itb.runs.live_audience import Audience
from itb.runs.live_bridge import LiveBridge
from itb.runs.live_clock import exchange_time
from itb.runs.live_desks import challengers, score_desks
from itb.runs.live_parts import (
    bar_plan,
    exchange_line,
    journal_of,
    kept_bars,
    paper_cash,
    paper_goes_on,
    stored_bars,
    usable_cash,
    venue_account,
)
from itb.runs.live_perpetuals import terms_of
from itb.runs.live_prices import main_paper
from itb.runs.live_rates import follow_market
from itb.runs.live_refits import Refit, Refits
from itb.runs.live_reload import Lanes, check_following
from itb.runs.live_sources import FromExchange, LiveSources
from itb.runs.live_staff import Staff
from itb.runs.live_strategies import live_shadows, live_strategies, settings_told
from itb.runs.live_training import GROUND_FILE
from itb.runs.live_words import last_words
from itb.runs.said import Said

if TYPE_CHECKING:
    from pathlib import Path

    from itb.live.bars.barrier import Step
    from itb.live.gateways.ccxt_gateway import CcxtGateway
    from itb.live.orders.events import Traded
    from itb.market.bars import Bars
    from itb.market.instrument import Instrument
    from itb.runs.live import Launch
    from itb.runs.live_models import LiveModels
    from itb.runs.rehearsal import PracticeProcess
    from itb.runs.workspace import Workspace

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # a terminal that is closed hangs up
_log = logging.getLogger(__name__)
_LOOK_S = 0.2


class Bot:
    """A bot's one life.

    ``models`` are those of each symbol; ``practice`` is the exchange that it rehearses on, ``None`` for a real one.
    """

    def __init__(
        self,
        workspace: Workspace,
        launch: Launch,
        folder: Path,
        models: Mapping[str, LiveModels],
        practice: PracticeProcess | None,
        tell: Callable[[str], None],
        console: Any = None,
    ) -> None:
        self.workspace, self.launch, self.folder = workspace, launch, folder
        self.models, self.practice, self.console = models, practice, console
        self._tell = tell
        self.config = workspace.config
        self.settings, self.symbols = self.config.live, self.config.data.symbols
        self._stored = stored_bars(workspace, None if practice is None else practice.start_ms)
        self._cancel_orders: bool | None = None
        self.next_life: tuple[Workspace, Launch] | None = None
        self.is_up = False
        self.audience = Audience(workspace, launch, journal_of(self.config, folder), self._now, self._step_down)
        self.refits = Refits(workspace, folder, models)
        self.sources = LiveSources(workspace, FromExchange(workspace) if practice is None else None)

    # -- life

    def tell(self, line: str) -> None:
        """Say something on the terminal; one that is gone ends no bot."""
        with contextlib.suppress(OSError, ValueError):
            self._tell(line)

    async def run(self) -> Said:
        """Live until the end."""
        self._end, self._loop = asyncio.Event(), asyncio.get_running_loop()
        self.clock: MarketClock | None = None if self.practice is None else MarketTime(self.practice.url)
        self.metrics = Metrics(self.settings.name)
        self.log = EventLog(self.folder / "events.jsonl", self._now, bot=self.settings.name, heard=self.metrics.hear)
        self.chronicle = Chronicle(self.log)
        self.board = HealthBoard(self._now, self._changed)
        loop, life = self._loop, asyncio.current_task()
        assert life is not None

        def asked() -> None:
            self._end.set()
            if not self.is_up:  # whatever is waited for: there is nothing yet to bring to an end
                life.cancel()

        for number in _SIGNALS:
            loop.add_signal_handler(number, asked)
        try:
            async with contextlib.AsyncExitStack() as stack:
                return await self._live(stack)
        except asyncio.CancelledError:
            if self.is_up or not self._end.is_set():
                raise
            return Said(
                {"steps": 0}, (f"Stopped before it began; the same command begins it. All is in {self.folder}",)
            )
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
            self.log.close()

    async def _live(self, stack: contextlib.AsyncExitStack) -> Said:
        line = exchange_line(self.config, self.launch, self.practice)
        stack.push_async_callback(line.close)
        remote = gateway_on(line, self._now, clock_refused=self._doubt)
        keeping = await self._keep_time(remote, stack)
        plan = bar_plan(self.config, self.models, self.speed, is_practice=self.practice is not None)
        source = CcxtBars(line, self.symbols, self.config.data.timeframe, self._columns())
        assert self.clock is not None
        stack.push_async_callback(self.refits.stop)
        known = self.refits.known(self._stored)
        plan = replace(plan, history=max(plan.history, self.refits.reach(known, self.clock.now_ms())))
        lived = paper_goes_on(self.config, self.folder) if self.launch.is_paper else None
        histories = await load_histories(source, self.clock, plan, known, self.tell, lived)
        await self.sources.begin(histories, self.board, self.log)
        self.refits.begin(histories, self._stored, self.board, self._refitted)
        instruments = await terms_of(remote, self.config, self.launch, self.folder)
        engine = self._engine(self._main(remote, instruments, histories), instruments, histories)
        pilot = self._pilot(engine)
        stack.enter_context(self.audience.hears(engine, pilot, self._loop))
        control = ControlServer(pilot, self.folder, commanded=self._commanded)
        await control.start()
        stack.push_async_callback(control.stop)
        await stack.enter_async_context(Outlook(
            pilot, self.log, self.metrics, self.board,
            bot=self.settings.name, port=self.settings.metrics_port, console=self.console,
        ))  # fmt: skip
        pump = build_pump(source, self.clock, plan, histories, Sinks(engine.take, self.chronicle.bar))
        self.log.write(
            Kind.START, mode=self.launch.mode, symbols=list(self.symbols), bars=self.launch.bars,
            strategies=self._settings,
        )  # fmt: skip
        names = ", ".join(dict.fromkeys(lane.name for lane in engine.lanes))
        self.tell(
            f"{self.settings.name}: {names} on {', '.join(self.symbols)} {self.config.data.timeframe}, "
            f"{self.launch.mode}; state in {self.folder}"
        )
        if isinstance(self.clock, MarketTime):
            await self.clock.begin()
        if self.is_stepped:
            await self._answer({symbol: int(bars.open_time[-1]) for symbol, bars in histories.items()})
        self.is_up = True
        tasks = [asyncio.create_task(engine.run(pump), name="engine"), *keeping]
        if not self.launch.is_paper:
            tasks.append(asyncio.create_task(follow_orders(line, engine.accounts[0].hear_news), name="news"))
        tasks += follow_market(self.workspace, remote, engine, self.log, self._now)
        for task in tasks[1:]:
            task.add_done_callback(self._gone)
        ended = asyncio.create_task(self._ended(engine), name="end")
        await asyncio.wait([tasks[0], ended], return_when=asyncio.FIRST_COMPLETED)
        await self._stop(engine, tasks, ended)
        return last_words(pilot, self.folder, is_over=isinstance(self.clock, MarketTime) and self.clock.is_over)

    def _pilot(self, engine: Engine) -> LiveBridge:
        chosen = {one.name: one.settings.get("protections", ()) for one in self._chosen}
        pilot = LiveBridge(
            self.settings.name, self.launch.mode, engine, self.board, self._now, self._stop_asked,
            started_at=int(self._now()), settings=self.config, log=self.log, reload=self.reload,
            grades=self.audience.grades, protections=chosen,
        )  # fmt: skip
        pilot.apply_pardons()
        return pilot

    def _step_down(self, why: str) -> None:
        """Go on paper from here: the account keeps its stops, and nothing new is entered there."""
        if not self.launch.is_paper:
            self.next_life = self.workspace, replace(self.launch, is_paper=True, stepped_down=why)
            self._end.set()

    def reload(self, held: Mapping[Lanes, Decimal]) -> None:
        """Read the config again, and begin a life by it; raise :class:`itb.errors.ConfigError` for one that cannot."""
        following = self.launch.reload()
        check_following(self.config, following.config, held, is_real=self.launch.mode == "live")
        self.next_life = following, self.launch
        self._end.set()

    async def _ended(self, engine: Engine) -> None:
        """Wait until the end is asked for, or a replay has brought its last bar."""
        while not self._end.is_set():
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._end.wait()
            except TimeoutError:
                if isinstance(self.clock, MarketTime) and self.clock.is_over and engine.has_all(self.clock.stop_ms):
                    return

    def _stop_asked(self, cancel: bool | None) -> None:
        self._cancel_orders = cancel
        self._end.set()

    async def _stop(self, engine: Engine, tasks: list[asyncio.Task[None]], ended: asyncio.Task[None]) -> None:
        """End in order: no new bars, then each account; what went wrong is told once all is at rest."""
        faults = [] if not tasks[0].done() or tasks[0].cancelled() else [tasks[0].exception()]
        for task in (*tasks, ended):
            task.cancel()
        await asyncio.gather(*tasks, ended, return_exceptions=True)
        cancels = self.settings.on_stop == "cancel" if self._cancel_orders is None else self._cancel_orders
        for account in engine.accounts:
            try:
                await end_account(account, cancels=cancels)
            except Exception as error:  # noqa: BLE001  the other accounts end as well
                faults.append(error)
        fault = next((one for one in faults if one is not None), None)
        if fault is None:
            self.log.write(Kind.STOP, steps=engine.steps)
            return
        self.log.write(Kind.STOP, steps=engine.steps, why=why(cause_of(fault)))
        _log.error("the bot has ended", exc_info=cause_of(fault))
        raise as_told(fault) from cause_of(fault)

    # -- time

    @property
    def speed(self) -> float:
        """How fast the market runs; 0 where it waits for answers."""
        return self.clock.rate if isinstance(self.clock, MarketTime) else 1.0

    @property
    def is_stepped(self) -> bool:
        """Whether market time waits for answers."""
        return isinstance(self.clock, MarketTime) and self.clock.speed == "lockstep"

    def _now(self) -> float:
        if self.clock is None or not self.clock.is_set:
            return float(self.workspace.clock())
        return self.clock.now_ms()

    def _doubt(self) -> None:
        """Ask for the exchange's time at once: it refused ours."""
        if isinstance(self.clock, Timekeeper):
            self.clock.doubt()

    async def _keep_time(self, remote: CcxtGateway, stack: contextlib.AsyncExitStack) -> list[asyncio.Task[None]]:
        """Learn the market's time, for as long as it takes, and keep it."""
        if isinstance(self.clock, MarketTime):
            await self.clock.look()
            stack.push_async_callback(self.clock.close)
            return [_kept(stack, self.clock.keep())]
        self.clock = keeper = await exchange_time(remote, self.config.traded_on, self.tell)
        return [_kept(stack, keeper.keep())]

    async def _after(self, step: Step) -> None:
        """Train where that is due; in lock-step, let the exchange go on once all is done."""
        self.refits.take(step)
        if self.is_stepped:
            await self.refits.idle()
            await self._answer({symbol: bar.open_time for symbol, bar in step.bars.items()})

    async def _answer(self, bars: Mapping[str, int]) -> None:
        assert isinstance(self.clock, MarketTime)
        for symbol, open_time in bars.items():
            await self.clock.answer(symbol, open_time)

    # -- assembly

    def _columns(self) -> tuple[str, ...]:
        stored = next((bars for bars in self._stored.values() if bars is not None), None)
        return OHLCV if stored is None else tuple(stored.columns)

    def _main(
        self, remote: CcxtGateway, instruments: Mapping[str, Instrument], histories: Mapping[str, Bars]
    ) -> Account:
        file = journal_of(self.config, self.folder)
        if self.launch.is_paper:
            cash = paper_cash(self.config)
            return main_paper(self.config, cash, instruments, histories, file, rates=remote, clock=self._now)
        account = venue_account(self.config, remote, instruments, file, self._now, self.speed)
        account.is_stepped = self.is_stepped
        return account

    def _engine(self, main: Account, instruments: Mapping[str, Instrument], histories: Mapping[str, Bars]) -> Engine:
        """Put accounts, strategies and scores together."""
        gate = StartGate((RECONCILED, *(not_live(symbol) for symbol in self.symbols)), self._gate_changed)
        windows = {symbol: GrowingBars(bars, kept_bars(bars)) for symbol, bars in histories.items()}
        hear, check, before = self.board.hear, self.settings.self_check, self.refits.before(self._stored)
        networks, desks = score_desks(self.models, windows, before, hear, check, self.sources.enrich)
        whole = [column.is_whole() for desk in desks.values() for column in desk.columns]  # each tells what ails it
        if not any(whole):
            raise ModelError("no model is whole")
        engine = Engine(
            windows, desks, [main], gate, self.board,
            decide_s=self.settings.decide_within.ms / 1000, most_steps=self.launch.bars,
        )  # fmt: skip
        self._chosen = chosen = live_strategies(self.workspace, *histories.values())
        staff = Staff(self.config, engine, instruments, histories, self.speed or 1.0)
        staff.hire(main, chosen, self._cash())
        shadows = live_shadows(self.workspace, *histories.values())
        engine.accounts += tuple(staff.shadow(name, variants, self.folder) for name, variants in shadows.items())
        self._settings = settings_told([*chosen, *(one for variants in shadows.values() for one in variants)])
        self.chronicle.said = engine.said
        for account in engine.accounts:
            account.follow(self._filled(account))
            self.chronicle.begin(account)
            self.chronicle.follow(account)
        engine.listeners.ticked.append(self.chronicle.tick)
        grounds = {symbol: models.home / GROUND_FILE for symbol, models in self.models.items()}
        drift = Drift(desks, grounds, self.board)
        engine.listeners.ticked += [lambda _ticked: self.chronicle.late(desks), drift.tick]
        engine.listeners.before.append(self.sources.bring)
        engine.listeners.after += [networks.look_back, *challengers(engine, self.chronicle, self.settings), self._after]
        return engine

    def _filled(self, account: Account) -> Callable[[Lane, Traded], None]:
        def hear(lane: Lane, event: Traded) -> None:
            self.chronicle.fill(account, lane, event)
            if not account.is_shadow:
                self.audience.fill(lane, event)

        return hear

    def _cash(self) -> Decimal:
        if self.launch.is_paper:
            return paper_cash(self.config)
        if self.launch.rehearsal is not None:
            asked = self.launch.rehearsal.cash
            return Decimal(repr(float(self.config.backtest.cash if asked is None else asked)))
        return usable_cash(self.config)

    # -- notices

    def _gone(self, task: asyncio.Task[None]) -> None:
        """Tell of a helper of the engine that has ended by itself."""
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            self.board.trouble(task.get_name(), f"{task.get_name()} is not followed any more: {why(cause_of(fault))}")

    def _changed(self, change: Change) -> None:
        self.chronicle.change(change)
        self.audience.change(change)
        self.tell(f"{'over' if change.is_over else change.health.lower()}: {change.trouble.text}")

    def _refitted(self, refit: Refit) -> None:
        self.chronicle.refit(refit.symbol, refit.column, refit.entry)
        self.tell(str(refit))
        self.audience.retrained(str(refit))

    def _gate_changed(self, is_open: bool, reasons: tuple[str, ...]) -> None:
        text = "decisions count from here on" if is_open else "decisions do not count"
        self.log.write(Kind.NOTE, text=text, reasons=list(reasons))

    def _commanded(self, ask: str, arguments: Mapping[str, Any], said: str) -> None:
        self.log.write(Kind.COMMAND, ask=ask, arguments=dict(arguments), said=said)


def _kept(stack: contextlib.AsyncExitStack, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Let something run until the bot's life is over, however it ends."""
    task = asyncio.create_task(work, name="clock")

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
    return task
