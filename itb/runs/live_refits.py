"""When a running bot trains again: its bars are kept, what is due is fitted by a child, what came of it is told."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from itb.config import stages as configured
from itb.errors import ItbError
from itb.live.bars.bar import rows_of
from itb.live.bars.kept import KeptBars, read_kept
from itb.market.bars import utc
from itb.mlmodels.timeline import ModelTimeline, TimelineEntry
from itb.runs.children import keyless_environment
from itb.runs.live_training import BARS_FILE, bars_so_far, child_command, refuse_unlearned
from itb.runs.model import walk_forward

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from itb.live.bars.barrier import Step
    from itb.live.run.health import HealthBoard
    from itb.market.bars import Bars
    from itb.runs.live_models import LiveModels
    from itb.runs.workspace import Workspace

_MOST_WAIT = 512  # steps between two tries where children fail
_TROUBLE = "training"


@dataclass(frozen=True, slots=True)
class Refit:
    """What came of a refit: whether it speaks, and why; ``symbol`` names all of them where one network reads them."""

    symbol: str
    column: str
    entry: TimelineEntry

    def __str__(self) -> str:
        fitted = f"{self.symbol} {self.column}: fitted at {utc(self.entry.known_at)} on {self.entry.rows:,} rows"
        if self.entry.promoted:
            return f"{fitted}, speaks from {utc(self.entry.speaks_from)} on"
        return f"{fitted}, not promoted: {self.entry.reason}"


@dataclass
class _Column:
    """A column's schedule: the newest refit, and how many bars of its symbol there were since (or enough to be due).

    That of a network counts times instead: its raster has those without a bar as well.
    """

    symbol: str
    timeline: Path
    every: int
    is_network: bool = False
    told: int = 0
    known_at: int = 0
    since: int = 0

    @property
    def is_due(self) -> bool:
        return self.since >= self.every


@dataclass
class Refits:
    """Trains a bot's models again when the walk-forward says so; one child at a time, never in the way of a decision.

    With ``live.retrain = false`` it does nothing. Raises :class:`itb.errors.ConfigError` for what cannot be trained
    while a bot runs.

    Parameters
    ----------
    workspace
        The config.
    folder
        Where the child's job and what it says are written.
    models
        Those of each symbol.
    """

    workspace: Workspace
    folder: Path
    models: Mapping[str, LiveModels]
    _kept: dict[str, KeptBars] = field(default_factory=dict)
    _times: dict[str, deque[int]] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None
    _rest: int = 0
    _pause: int = 1

    def __post_init__(self) -> None:
        config = self.workspace.config
        self.is_on = config.live.retrain
        self._columns: list[_Column] = []
        if not self.is_on:
            return
        refuse_unlearned(config)
        every = walk_forward(config).refit_every
        stack = configured.stack(config)
        self._columns = [
            _Column(symbol, files.models / "timeline.json", stack.walk.refit_every if files.inputs and stack else every)
            for symbol, models in self.models.items()
            for files in models.columns
            if not files.coins
        ]
        one = next(iter(self.models.values()))  # all symbols have the same networks
        self._columns += [
            _Column(" ".join(files.coins), files.models / "timeline.json", every, is_network=True)
            for files in one.columns
            if files.coins
        ]
        self._most = max(column.every for column in self._columns)  # bars that make any refit due

    # -- bars

    def known(self, stored: Mapping[str, Bars | None]) -> dict[str, Bars | None]:
        """Put what was delivered in earlier lives behind the stored bars."""
        return {symbol: self._known(symbol, bars) if self.is_on else bars for symbol, bars in stored.items()}

    def _known(self, symbol: str, stored: Bars | None) -> Bars | None:
        home = self.models[symbol].home
        return stored if read_kept(home / BARS_FILE) is None else bars_so_far(self.workspace, home, stored)

    def before(self, stored: Mapping[str, Bars | None]) -> dict[str, Bars | None]:
        """Give all bars so far, of which those before the history are what columns that follow scores go on from."""
        return {symbol: self._before(symbol, bars) for symbol, bars in stored.items()}

    def _before(self, symbol: str, stored: Bars | None) -> Bars | None:
        home, models = self.models[symbol].home, self.models[symbol]
        if models.following.since is None or (stored is None and read_kept(home / BARS_FILE) is None):
            return None
        return bars_so_far(self.workspace, home, stored)

    def reach(self, known: Mapping[str, Bars | None], now: float) -> int:
        """How many bars a history must have at least.

        None may be missing after those that are known, or after those whose scores a column follows from.
        """
        frame = self.workspace.config.data.timeframe.ms
        ends = [int(bars.close_time[-1]) for bars in known.values() if bars is not None and len(bars)]
        needed = [1 + int(now - end) // frame for end in ends] if self.is_on else []
        followed = [models for models in self.models.values() if models.following.since is not None]
        needed += [one.reach + 1 + int(now - (one.following.since or 0)) // frame for one in followed]
        return max(needed, default=0)

    def begin(
        self,
        histories: Mapping[str, Bars],
        stored: Mapping[str, Bars | None],
        board: HealthBoard,
        told: Callable[[Refit], None],
    ) -> None:
        """Keep the bars before the first live one, and see what is due.

        ``board`` hears when training fails, ``told`` of each refit, promoted or not.
        """
        self._board, self._told = board, told
        for symbol, bars in histories.items() if self.is_on else ():
            home = self.models[symbol].home
            kept = KeptBars(home / BARS_FILE, symbol, bars.timeframe, tuple(bars.columns))
            kept.add(rows_of(bars))
            self._kept[symbol] = kept
            times = bars_so_far(self.workspace, home, stored[symbol]).open_time
            self._times[symbol] = deque(times[-self._most :].tolist(), maxlen=self._most)
        for column in self._columns:
            self._look(column, is_news=False)

    def take(self, step: Step) -> None:
        """Keep the bars of a step; start to train if a refit is due."""
        for symbol, bar in step.bars.items() if self.is_on else ():
            if self._kept[symbol].add((bar,)):
                self._times[symbol].append(bar.open_time)
                for column in self._columns:
                    column.since += column.symbol == symbol
        for column in self._columns:
            if column.is_network:
                column.since = self._times_since(column, step.open_time)
        self._rest -= 1
        if self._task is None and self._rest <= 0 and any(column.is_due for column in self._columns):
            self._task = asyncio.create_task(self._train(), name="training")

    async def idle(self) -> None:
        """Wait until nobody trains."""
        if self._task is not None:
            await self._task

    async def stop(self) -> None:
        """End the child; what it has finished stays, the rest is done in the next life."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # -- training

    async def _train(self) -> None:
        due = {column.symbol for column in self._columns if column.is_due}
        has_network = any(column.is_network for column in self._columns)  # which needs the bars of all
        homes = {symbol: models.home for symbol, models in self.models.items() if has_network or symbol in due}
        log = self.folder / "training.log"
        try:
            with log.open("wb") as said:
                child = await asyncio.create_subprocess_exec(
                    *child_command(self.workspace, homes, self.folder),
                    stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
                    env=keyless_environment(),
                )  # fmt: skip
                try:
                    code = await child.wait()
                except asyncio.CancelledError:
                    child.kill()
                    await child.wait()
                    raise
            before = sum(column.told for column in self._columns)
            for column in self._columns:
                self._look(column, is_news=True)
            self._judge(code, brought=sum(column.told for column in self._columns) - before, log=log)
        except (ItbError, OSError) as error:
            self._failed(str(error))
        finally:
            self._task = None

    def _judge(self, code: int, *, brought: int, log: Path) -> None:
        if not code and brought:
            self._board.well(_TROUBLE)
            self._rest, self._pause = 0, 1
            return
        said = log.read_text(errors="replace").strip().splitlines()[-1:]
        self._failed(f"{said[0] if said else f'the process ended with {code} and said nothing'}; see {log}")

    def _failed(self, why: str) -> None:
        self._board.trouble(_TROUBLE, f"training failed, the models that speak go on: {why}")
        self._rest, self._pause = self._pause, min(2 * self._pause, _MOST_WAIT)

    def _look(self, column: _Column, *, is_news: bool) -> None:
        """See how far a column's refits are."""
        timeline = ModelTimeline.load(column.timeline)
        if is_news:
            for entry in timeline.entries[column.told :]:
                self._told(Refit(column.symbol, timeline.column, entry))
        column.told, column.known_at = len(timeline.entries), timeline.entries[-1].known_at
        if column.is_network:
            column.since = self._times_since(column, max(times[-1] for times in self._times.values()))
            return
        column.since = sum(time > column.known_at for time in self._times[column.symbol])

    def _times_since(self, column: _Column, newest: int) -> int:
        return max(0, newest - column.known_at) // self.workspace.config.data.timeframe.ms
