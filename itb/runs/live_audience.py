"""Who hears of a running bot, and who may ask it: outputs, ways, the chat, and the grades of what was sent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from itb.errors import ItbError
from itb.live.notify.events import StateChanged
from itb.live.notify.mailroom import Mailroom
from itb.live.run.ending import why
from itb.live.run.teller import Teller
from itb.runs.expected import expectations_beside, measure
from itb.runs.graded import build_grader
from itb.runs.herald import build_herald

if TYPE_CHECKING:
    from pathlib import Path

    from itb.live.notify.grader import Grader, Judgement
    from itb.live.notify.herald import Herald
    from itb.live.orders.events import Traded
    from itb.live.run.account import Lane
    from itb.live.run.engine import Engine, Ticked
    from itb.live.run.health import Change
    from itb.runs.live import Launch
    from itb.runs.live_bridge import LiveBridge
    from itb.runs.workspace import Workspace

_log = logging.getLogger(__name__)
_GRADE_MS = 900_000
_BEFORE_MS = 3_600_000  # how long before the newest notice something may have happened that is not noted


class Audience:
    """Everybody outside; where nobody is configured, nobody hears.

    Parameters
    ----------
    workspace, launch
        What the bot runs by, and how it was launched.
    journal
        Its journal's file or URL, whose database holds the outbox.
    now
        UTC milliseconds of the market.
    step_down
        Called with the reason, on the bot's loop, when results have left what the backtest let expect and the config
        wants paper then.
    """

    def __init__(
        self,
        workspace: Workspace,
        launch: Launch,
        journal: str | Path,
        now: Callable[[], float],
        step_down: Callable[[str], None],
    ) -> None:
        self._workspace, self._journal = workspace, journal
        self._mode, self._heard = launch.told, launch.heard
        self._now, self._step_down = now, step_down
        self._teller: Teller | None = None
        self._grader: Grader | None = None
        self._herald: Herald | None = None

    # -- what happens

    def change(self, change: Change) -> None:
        """Hear of a trouble that began or is over."""
        if self._teller is not None:
            self._teller.change(change)

    def fill(self, lane: Lane, event: Traded) -> None:
        """Hear of an execution."""
        if self._teller is not None:
            self._teller.fill(lane, event)

    def retrained(self, text: str) -> None:
        """Hear of a model that took over."""
        if self._herald is not None:
            self._herald.tell(StateChanged(int(self._now()), "retrained", text))

    def grades(self) -> str:
        """Say how what was sent turned out."""
        return "Nothing is sent, so nothing is graded." if self._grader is None else self._grader.text()

    # -- for as long as the bot runs

    @contextlib.contextmanager
    def hears(self, engine: Engine, bridge: LiveBridge, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Tell people what happens, and let them ask."""
        config = self._workspace.config
        if not (config.outputs or config.telegram.owners or config.telegram.readers):
            yield
            return

        async def call(ask: Callable[[], Any]) -> Any:
            async def here() -> Any:
                return ask()

            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(here(), loop))

        def trouble(text: str) -> None:
            with contextlib.suppress(RuntimeError):  # the bot has just ended
                loop.call_soon_threadsafe(engine.board.keep, "pictures", text)

        herald = build_herald(
            config, self._journal, self._workspace.clock, bridge, call, trouble=trouble, heard=self._heard
        )
        mailroom = Mailroom(self._journal)
        teller = Teller(engine, herald.tell, str(config.strategy.settings.get("score", "")))
        if newest := mailroom.newest():
            teller.catch_up(engine.accounts[0], newest - _BEFORE_MS, mailroom.knows)
        teller.follow(engine.accounts[0])
        self._herald, self._teller, self._grader = herald, teller, build_grader(self._workspace, mailroom)
        engine.listeners.ticked += [teller.tick, self._grade]
        herald.tell(StateChanged(int(self._now()), "started", f"{config.live.name} runs, {self._mode}"))
        self._loop, self._engine = loop, engine
        measuring = loop.create_task(self._measure(), name="expectations")
        try:
            with herald:
                told = f"{config.live.name} has stopped"
                try:
                    yield
                except BaseException as error:
                    told = f"{told} by itself: {why(error)}"
                    raise
                finally:
                    herald.tell(StateChanged(int(self._now()), "stopped", told))
        finally:
            measuring.cancel()
            self._teller = self._herald = None
            mailroom.close()

    async def _measure(self) -> None:
        """Find out what a backtest lets expect, beside the bot."""
        board, name = self._engine.board, "expectations"
        try:
            capsule = await asyncio.to_thread(measure, self._workspace)
            if capsule is not None:
                expected = await expectations_beside(self._workspace, capsule)
                await asyncio.to_thread(self._judged, lambda grader: grader.expect(expected, int(self._now())))
                board.well(name)
                return
            why = "no backtest of the same markets, bars, models and strategy is there; `itb backtest` makes one"
        except (ItbError, OSError) as error:
            why = f"the backtest cannot be graded: {error}"
        if self._workspace.config.notify.left_band == "paper":
            board.trouble(name, f"nothing can step down to paper: {why}")
        else:
            _log.info("live is measured against no backtest: %s", why)

    def _grade(self, ticked: Ticked) -> None:
        """Grade what was sent, as its labels mature: now and then, and off the loop."""
        if ticked.step.open_time % _GRADE_MS:
            return
        bars = {symbol: window.tail(len(window)) for symbol, window in self._engine.windows.items()}
        now = int(self._now())
        self._loop.run_in_executor(None, self._judged, lambda grader: grader.grade(bars, now))

    def _go_down(self, why: str) -> None:
        held = self._engine.accounts[0].dealer.book.positions.items()
        told = ", ".join(f"{qty} {symbol}" for (_, symbol), qty in held if qty) or "nothing"
        self._step_down(f"{why}; the account holds {told}")

    def _judged(self, judge: Callable[[Grader], Judgement]) -> None:
        """Tell what a round of grading found; in a thread."""
        grader, herald = self._grader, self._herald
        if grader is None or herald is None:
            return
        judged = judge(grader)
        herald.tell(*judged.events)
        if judged.step_down:
            with contextlib.suppress(RuntimeError):  # the bot has just ended
                self._loop.call_soon_threadsafe(self._go_down, judged.step_down)
