"""The search itself: claim a block, train its model side, fill its slots with trade sides, keep what is finished."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Protocol

import numpy as np

from itb.errors import ItbError, RunError
from itb.optimize.desk import Block, Desk, Record
from itb.optimize.objectives import Constraints, Direction, Objective, Windows
from itb.optimize.performance import Performance
from itb.optimize.proposals import GridProposer, Known, Proposer, SamplerName, proposer
from itb.optimize.space import Space, Values

BATCH_S = 0.2
LARGEST_GRID = 1_000_000
BEAT_S = 20.0


class Candidate(Protocol):
    """One set of model parameters, trained: its scores wait to be traded."""

    def trade(self, parameters: Values, *, until_day: int | None = None) -> Performance:
        """Trade with one set of trade parameters, over the first ``until_day`` days of the search or all.

        Raises ``ValueError`` for settings that cannot be, such as a buy threshold below the sell threshold.
        """


class Build(Protocol):
    """Makes a candidate from model parameters; picklable, so that workers can have it."""

    def __call__(self, parameters: Values) -> Candidate:
        """Train, or take what was trained before on the same numbers.

        Raises :class:`itb.errors.ItbError` or ``ValueError`` where the parameters make no model.
        """


@dataclass(frozen=True)
class Search:
    """What is searched, and how.

    Parameters
    ----------
    space
        What varies.
    objectives
        What is striven for; several make a Pareto front.
    windows
        The rolling windows of the days traded.
    sampler
        Who proposes points.
    trade_sides
        How many trade sides are tried on one model side (a block).
    constraints
        What a trial must keep.
    seed
        Seed of every proposal.
    prune
        Stop a trial after a third or two thirds of the windows when it is in the worst quarter of all before it.
    """

    space: Space
    objectives: tuple[Objective, ...]
    windows: Windows
    sampler: SamplerName = "tpe"
    trade_sides: int = 25
    constraints: Constraints = field(default_factory=Constraints)
    seed: int = 0
    prune: bool = False

    def __post_init__(self) -> None:
        if not self.objectives:
            raise ValueError("objectives must name at least one")
        if self.trade_sides < 1:
            raise ValueError(f"trade_sides must be at least 1, was {self.trade_sides}")
        if self.sampler == "grid" and (most := math.prod(len(d.grid()) for d in self.space.dimensions)) > LARGEST_GRID:
            raise ValueError(
                f"the grid has up to {most:,} points, at most {LARGEST_GRID:,} can be walked; give its ranges fewer "
                f"points, or take sampler 'qmc'"
            )
        _ = self.proposers

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The direction of each objective."""
        return tuple(objective.direction for objective in self.objectives)

    @property
    def proposers(self) -> tuple[Proposer, Proposer]:
        """Who proposes model sides and trade sides."""
        return (
            proposer(self.sampler, self.space, "model", self.directions, self.seed),
            proposer(self.sampler, self.space, "trade", self.directions, self.seed),
        )

    def grid_size(self) -> int:
        """Count the points of the whole grid."""
        return sum(_grid_sizes(self.space))

    def slots(self, block: int, total: int) -> range:
        """Give the slots of a block in a search of ``total`` trials; a grid's blocks are as large as they are."""
        if self.sampler == "grid":
            sizes = _grid_sizes(self.space)
            first = sum(sizes[:block])
            last = first + sizes[block] if block < len(sizes) else first
        else:
            size = self.trade_sides if self.space.trade else 1
            first, last = block * size, (block + 1) * size
        return range(min(first, total), min(last, total))

    def judge(self, slot: int, block: int, parameters: Values, performance: Performance) -> Record:
        """Turn a performance into a finished trial."""
        performance, bounds = performance.rounded, self.windows.bounds
        values = tuple(objective.value(performance, bounds) for objective in self.objectives)
        excess = self.constraints.excess(performance, bounds)
        if not all(np.isfinite(value) for value in values):
            undefined = next(o.name for o, v in zip(self.objectives, values, strict=True) if not np.isfinite(v))
            trades = len(performance.trade_return)
            reason = f"{undefined} is not defined with {trades} closed trades"
            return Record(slot, block, parameters, "failed", None, performance, excess, reason)
        return Record(slot, block, parameters, "complete", values, performance, excess)


@dataclass(frozen=True)
class Told:
    """What a running search tells: trials finished and asked for, and the best so far."""

    done: int
    total: int
    best: Record | None
    note: str = ""


Listener = Callable[[Told], None]


@dataclass(eq=False)
class Worker:
    """Works on a study until ``total`` trials are finished, the time is over, or it is stopped.

    ``stop`` is asked between trials. Several workers may share one study; one alone is deterministic.
    """

    search: Search
    desk: Desk
    build: Build
    listener: Listener | None = None
    stop: Callable[[], bool] = lambda: False
    notes: list[str] = field(default_factory=list)
    _seen: dict[int, Record] = field(default_factory=dict)
    _known: dict[int, Known] = field(default_factory=dict)

    @cached_property
    def _proposers(self) -> tuple[Proposer, Proposer]:
        return self.search.proposers

    def work(self, total: int) -> None:
        """Claim block after block."""
        self._tell(total)
        while not self.stop():
            block = self.desk.claim(lambda: self._wanted(total))
            if block is None:
                return
            self._fill(block, total)

    # -- one block

    def _wanted(self, total: int) -> Block | None:
        """Find the first block with open slots that nobody works on; a new one gets its parameters here."""
        blocks = self.desk.blocks()
        finished = {record.slot for record in self.desk.records()}
        number = 0
        while slots := self.search.slots(number, total):
            block = blocks.get(number)
            is_open = not finished.issuperset(slots)
            if block is None:
                parameters = self._proposers[0].propose(number, {}, self._known_models(blocks, total))
                return Block(number, parameters, self.desk.owner, self.desk.clock())
            if is_open and self.desk.is_free(block):
                return block
            number += 1
        return None

    def _known_models(self, blocks: Mapping[int, Block], total: int) -> list[Known]:
        """Give model sides with the best that was found on each, in order; others are running."""
        by_block: dict[int, list[Record]] = {}
        for record in self.desk.records():
            by_block.setdefault(record.block, []).append(record)
        known = []
        for number in sorted(blocks):
            records = by_block.get(number, [])
            is_done = len(records) >= len(self.search.slots(number, total))
            best = self.best(records) if is_done else None
            known.append(Known(blocks[number].parameters, best.values if best else None, is_running=not is_done))
        return known

    def _fill(self, block: Block, total: int) -> None:
        try:
            with self._beating(block):
                candidate = self.build(block.parameters)
        except (ItbError, ValueError) as error:
            self._give_up(block, total, str(error))
            return
        trades = self._proposers[1]
        self._learn(self.desk.records())
        waiting: list[Record] = []
        flushed, beaten = time.monotonic(), self.desk.clock()
        slots = self.search.slots(block.number, total)
        for slot in slots:
            if slot in self._seen:
                continue
            if self.stop():
                break
            number = slot - slots.start if isinstance(trades, GridProposer) else slot
            proposed = trades.propose(number, block.parameters, list(self._known.values()))
            try:
                record = self._try(slot, block, candidate, {**block.parameters, **proposed})
            except KeyboardInterrupt:
                self._flush(waiting, total)
                raise
            waiting.append(record)
            self._learn([record])
            if self.desk.clock() - beaten > BEAT_S:
                self.desk.beat(block)
                beaten = self.desk.clock()
            if time.monotonic() - flushed > BATCH_S:
                self._flush(waiting, total)
                if self.desk.is_shared:
                    self._learn(self.desk.records())
                flushed = time.monotonic()
        self._flush(waiting, total)

    def _learn(self, records: Sequence[Record]) -> None:
        """Take in trials that were not seen before; the order in which they come is kept."""
        for record in records:
            if record.slot not in self._seen:
                self._seen[record.slot] = record
                self._known[record.slot] = Known(record.parameters, record.values, record.excess)

    def _try(self, slot: int, block: Block, candidate: Candidate, parameters: Values) -> Record:
        trade = {dimension.name for dimension in self.search.space.trade}
        chosen = {name: value for name, value in parameters.items() if name in trade}
        try:
            if self.search.prune:
                pruned = self._pruned(slot, block, candidate, parameters, chosen)
                if pruned is not None:
                    return pruned
            return self.search.judge(slot, block.number, parameters, candidate.trade(chosen))
        except (ItbError, ValueError) as error:
            return Record(slot, block.number, parameters, "failed", None, reason=str(error))

    def _pruned(
        self, slot: int, block: Block, candidate: Candidate, parameters: Values, chosen: Values
    ) -> Record | None:
        """Look at the first third, then at two thirds of the windows, beside all complete trials before this one."""
        bounds = self.search.windows.bounds
        objective = self.search.objectives[0]
        before = [r.performance for r in self._seen.values() if r.slot < slot and r.state == "complete"]
        if len(before) < 10:
            return None
        for thirds in (1, 2):
            rung = bounds[: max(1, len(bounds) * thirds // 3)]
            part = candidate.trade(chosen, until_day=rung[-1][1])
            mine = objective.sign * objective.value(part, rung)
            others = [objective.sign * objective.value(one, rung) for one in before if one is not None]
            if not mine >= float(np.nanpercentile(others, 25)):
                reason = f"pruned after {len(rung)} of {len(bounds)} windows"
                return Record(slot, block.number, parameters, "pruned", None, part.rounded, reason=reason)
        return None

    def _give_up(self, block: Block, total: int, why: str) -> None:
        """Count every slot of a block that has no model as failed."""
        finished = {record.slot for record in self.desk.records()}
        self.notes.append(f"model side {block.number}: {why}")
        records = [
            Record(slot, block.number, block.parameters, "failed", None, reason=why)
            for slot in self.search.slots(block.number, total)
            if slot not in finished
        ]
        self._flush(records, total)
        self.desk.beat(block, failed=why)

    def _flush(self, waiting: list[Record], total: int) -> None:
        if waiting:
            self.desk.add(waiting)
            waiting.clear()
        self._tell(total)

    @contextmanager
    def _beating(self, block: Block) -> Iterator[None]:
        """Tell other workers, while a long training goes on, that this one is alive."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT_S):
                with suppress(RunError):  # whoever works on the block tells it, at the next trial
                    self.desk.beat(block)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    # -- looking

    def best(self, records: Sequence[Record]) -> Record | None:
        """Give the best feasible trial by the first objective; the earliest of equals."""
        return best_of(records, self.search.objectives[0])

    def _tell(self, total: int) -> None:
        if self.listener is not None:
            records = self.desk.records()
            self.listener(Told(len(records), total, self.best(records), self.notes[-1] if self.notes else ""))


def best_of(records: Sequence[Record], objective: Objective) -> Record | None:
    """Give the best feasible trial by an objective, the first of ``values``; the earliest of equals."""
    feasible = [record for record in records if record.is_feasible and record.values]
    return max(feasible, key=lambda record: (objective.sign * (record.values or (0.0,))[0], -record.slot), default=None)


@cache
def _grid_sizes(space: Space) -> tuple[int, ...]:
    return tuple(sum(1 for _ in space.grid("trade", model)) for model in space.grid("model", {}))
