"""Where a search is kept: an Optuna storage that several workers may write, and how they share the work.

A study is cut into *blocks*, one for each set of model parameters, and each block into *slots*, one for each set of
trade parameters. A worker claims a block, fills its slots and adds each finished trial whole, so that what is stored is
always finished; a trial found twice (a worker that was thought dead) counts once.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from itb.errors import RunError
from itb.optimize.performance import Performance
from itb.optimize.plan import refuse_other_plan
from itb.optimize.space import Space, Value

if TYPE_CHECKING:
    import optuna

    from itb.optimize.objectives import Direction

State = Literal["complete", "pruned", "failed"]
STALE_S = 180.0
_BLOCK = "itb:block:"
_PLAN = "itb:plan"
_SETTINGS = "itb:settings"
_WANTED = "itb:wanted"
WINDOW = ".window"  # begins the end of a name: the search before one window, of several


@dataclass(frozen=True, eq=False)
class Record:
    """A finished trial. ``values`` are those of the objectives, ``None`` where undefined; ``reason`` says why.

    The ``performance`` of a pruned one ends where it was stopped.
    """

    slot: int
    block: int
    parameters: Mapping[str, Value]
    state: State
    values: tuple[float, ...] | None
    performance: Performance | None = None
    excess: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    @property
    def is_measured(self) -> bool:
        """Whether its returns of every day are known: it did not fail before it traded, and was not stopped early."""
        return self.performance is not None and self.state != "pruned"

    @property
    def is_feasible(self) -> bool:
        """Whether it is complete and keeps every constraint."""
        return (
            self.values is not None and self.state == "complete" and all(excess <= 0 for excess in self.excess.values())
        )


@dataclass(frozen=True)
class Block:
    """One set of model parameters, who works on it, and since when nothing was heard of them (seconds)."""

    number: int
    parameters: Mapping[str, Value]
    owner: str
    beat: float
    failed: str = ""


@dataclass(eq=False)
class Desk:
    """An opened study; without a ``space`` it is only read.

    ``local`` is the folder whose lock settles claims at once; remote storages settle by waiting. ``is_shared`` says
    that others may add trials meanwhile. ``settle_s`` is how long a remote
    claim waits for another worker's.
    """

    study: optuna.Study
    space: Space | None = None
    local: Path | None = None
    is_shared: bool = False
    settle_s: float = 0.5
    clock: Callable[[], float] = time.time
    owner: str = field(default_factory=lambda: worker_name(None))
    _records: dict[int, Record] = field(default_factory=dict)
    _read: int = 0

    def close(self) -> None:
        """Give back the connections to a database."""
        storage: Any = self.study._storage
        engine = getattr(getattr(storage, "_backend", storage), "engine", None)
        if engine is not None:
            getattr(storage, "_backend", storage).remove_session()
            engine.dispose()

    @property
    def wanted(self) -> int:
        """How many trials there shall be, as whoever works on it said last; 0 where nobody did."""
        return int(self.study.user_attrs.get(_WANTED, 0))

    def want(self, total: int) -> None:
        """Say how many trials there shall be, for whoever looks at the study."""
        if total != self.wanted:
            with told(self.study.study_name):
                self.study.set_user_attr(_WANTED, total)

    # -- trials

    def records(self) -> list[Record]:
        """Give every finished trial once, by slot; reads only what is new."""
        trials = self.study._storage.get_all_trials(self.study._study_id, deepcopy=False)
        for trial in trials[self._read :]:
            record = _record(trial)
            if record is not None:
                self._records.setdefault(record.slot, record)
        self._read = len(trials)
        return [self._records[slot] for slot in sorted(self._records)]

    def add(self, records: Sequence[Record]) -> None:
        """Add finished trials; they are on the disk when this returns. Raises :class:`RunError` where that fails."""
        assert self.space is not None
        with told(self.study.study_name), batch(self.study._storage):
            for record in records:
                self.study._storage.create_new_trial(self.study._study_id, template_trial=_frozen(self.space, record))
        for record in records:
            self._records.setdefault(record.slot, record)

    # -- blocks

    def blocks(self) -> dict[int, Block]:
        """Give every block that was ever claimed."""
        found = {}
        for key, value in self.study.user_attrs.items():
            if key.startswith(_BLOCK):
                block = Block(**json.loads(value))
                found[block.number] = block
        return found

    def claim(self, wanted: Callable[[], Block | None]) -> Block | None:
        """Let ``wanted`` look for a block while nobody else looks, and enter it under this worker's name."""
        with self._alone(), told(self.study.study_name):
            block = wanted()
            if block is None:
                return None
            self._enter(block)
        if self.local is None:
            time.sleep(self.settle_s)  # the last writer wins; everyone sees who that was
            if self.blocks()[block.number].owner != self.owner:
                return self.claim(wanted)
        return block

    def beat(self, block: Block, failed: str = "") -> None:
        """Say that this worker is alive, or why the block cannot be done."""
        with told(self.study.study_name):
            self._enter(Block(block.number, block.parameters, self.owner, self.clock(), failed))

    def is_free(self, block: Block) -> bool:
        """Whether nobody is working on a block: its owner is this worker, is dead, or was not heard of for long."""
        if block.owner == self.owner or abs(self.clock() - block.beat) > STALE_S:  # a clock may have been set back
            return True
        host, process, _ = block.owner.split("|")
        return host == socket.gethostname() and worker_name(int(process)) != block.owner

    def _enter(self, block: Block) -> None:
        told_as = {
            "number": block.number,
            "parameters": dict(block.parameters),
            "owner": self.owner,
            "beat": self.clock(),
            "failed": block.failed,
        }
        self.study.set_user_attr(f"{_BLOCK}{block.number:06d}", json.dumps(told_as))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self.local is None:
            yield
            return
        from itb.optimize.journal import locked

        with locked(self.local / "claims.lock"):
            yield


def open_desk(
    storage: optuna.storages.BaseStorage,
    name: str,
    plan: Mapping[str, Any],
    space: Space,
    *,
    directions: Sequence[Direction],
    local: Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Desk:
    """Open a study, or create it; ``plan`` is what makes it this study and no other.

    ``settings`` are what it is begun with, for whoever goes on with it (:func:`stored_settings`).

    Raises :class:`RunError` that names the first difference where a study of this name has another plan.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with told(name):
        study = optuna.create_study(storage=storage, study_name=name, directions=list(directions), load_if_exists=True)
        kept = study.user_attrs.get(_PLAN)
        if kept is None:
            study.set_user_attr(_SETTINGS, json.dumps(settings))  # text: a database may not keep the order of keys
            study.set_user_attr(_PLAN, json.dumps(plan, sort_keys=True))
            kept = study.user_attrs[_PLAN]
    refuse_other_plan(name, json.loads(kept), json.loads(json.dumps(plan)))
    return Desk(study, space, local)


def stored_plan(storage: optuna.storages.BaseStorage, name: str) -> tuple[dict[str, Any], Any]:
    """Read the plan of a study, and the settings that it was begun with (``None`` where they were not told).

    Raises :class:`RunError` that lists what there is where there is no study of that name.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with told(name):
        names = optuna.get_all_study_names(storage)
        if name not in names:
            raise RunError(f"study {name!r}: not found; the storage has {', '.join(sorted(names)) or 'none yet'}")
        told_as = optuna.load_study(study_name=name, storage=storage).user_attrs
    plan = told_as.get(_PLAN)
    if plan is None:
        raise RunError(f"study {name!r}: was not made by itb; give --study another name")
    found: dict[str, Any] = json.loads(plan)
    return found, json.loads(told_as.get(_SETTINGS, "null"))


def worker_name(process: int | None = None) -> str:
    """Name a process so that a later one with the same number is not taken for it; empty where there is none."""
    number = os.getpid() if process is None else process
    try:
        told_as = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        started = "gone" if told_as[0] == "Z" else told_as[19]  # a dead one that nobody has waited for
    except OSError:
        started = "" if process is None or _is_alive(number) else "gone"
    return f"{socket.gethostname()}|{number}|{started}"


@contextmanager
def told(name: str) -> Iterator[None]:
    """Turn what a storage raises into one line."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, _storage_errors()):
            raise
        cause = str(error.__cause__ or error).splitlines()[0]
        raise RunError(
            f"study {name!r}: its storage cannot be used ({cause}); nothing that was finished is lost. Free the disk, "
            f"or bring the database back, and run the same command again"
        ) from error


@contextmanager
def batch(storage: optuna.storages.BaseStorage) -> Iterator[None]:
    """Let the journal wait for the disk once for all that is written inside; other storages do as they do."""
    journal: Any = getattr(storage, "_backend", None)
    if not hasattr(journal, "batch"):
        yield
        return
    with journal.batch():
        yield


def _storage_errors() -> tuple[type[Exception], ...]:
    """Give what storages raise; of SQLAlchemy and gRPC nothing is imported where they are not in use."""
    from optuna.exceptions import StorageInternalError

    drivers = (("sqlalchemy.exc", "SQLAlchemyError"), ("grpc", "RpcError"))
    loaded = [getattr(sys.modules[module], error) for module, error in drivers if sys.modules.get(module)]
    return (OSError, StorageInternalError, *loaded)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _record(trial: optuna.trial.FrozenTrial) -> Record | None:
    told_as = trial.user_attrs
    if "slot" not in told_as or not trial.state.is_finished():
        return None
    packed = told_as.get("performance")
    return Record(
        slot=int(told_as["slot"]),
        block=int(told_as["block"]),
        parameters=dict(trial.params),
        state=told_as["state"],
        values=tuple(trial.values) if trial.values and told_as["state"] == "complete" else None,
        performance=None if packed is None else Performance.decoded(packed),
        excess=dict(told_as.get("excess", {})),
        reason=told_as.get("reason", ""),
    )


def _frozen(space: Space, record: Record) -> optuna.trial.FrozenTrial:
    import optuna

    states = optuna.trial.TrialState
    known = {d.name: d.distribution for d in space.dimensions if d.name in record.parameters}
    return optuna.trial.create_trial(
        state={"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[record.state],
        params={name: record.parameters[name] for name in known},
        distributions=known,
        values=None if record.values is None else list(record.values),
        user_attrs={
            "slot": record.slot,
            "block": record.block,
            "state": record.state,
            "performance": None if record.performance is None else record.performance.encoded(),
            "excess": dict(record.excess),
            "reason": record.reason,
        },
        constraints=dict(record.excess),
    )
