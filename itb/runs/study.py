"""A study: what is searched on one market, where it is kept, and who works on it."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from itb.config.dump import material
from itb.config.load import read_again, with_values
from itb.errors import ConfigError, ItbError, RunError
from itb.market.bars import utc
from itb.optimize.candidate import search_days
from itb.optimize.desk import Desk, open_desk, stored_plan
from itb.optimize.objectives import OBJECTIVES, Constraints, Windows
from itb.optimize.plan import leaves
from itb.optimize.search import Listener, Search, Told, Worker, best_of
from itb.optimize.storage import storage_of
from itb.runs.model import score_ranges
from itb.runs.search_build import ModelSides, first_step, refuse_strange_settings
from itb.runs.search_markets import SearchedMarkets, accounts
from itb.runs.search_space import search_space
from itb.runs.strategy import check_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from itb.config import Config
    from itb.runs.workspace import Workspace


_COUNT_EVERY_S = 2.0
_WAIT_S = 0.5
_WAYS = ("objectives", "sampler", "trade_sides", "min_trades", "max_drawdown", "seed", "prune")


@dataclass(frozen=True)
class Asked:
    """What the command line asks of a search, beside the config.

    ``trials`` is how many there shall be in all (``None``: as configured, or the whole grid), ``more`` how many beside
    those that are there. ``storage`` is the URL of a database, empty for the project's own journal.
    """

    trials: int | None = None
    more: int | None = None
    timeout_s: float | None = None
    jobs: int = 1
    name: str = ""
    storage: str = ""


@dataclass(eq=False)
class Study:
    """One search of one market, or of several that trade one account, opened."""

    workspace: Workspace
    markets: SearchedMarkets
    search: Search
    sides: ModelSides
    name: str
    folder: Path
    plan: dict[str, Any]
    asked: Asked
    digest: str = ""

    @property
    def config(self) -> Config:
        """The settings that do not vary, and the defaults of those that do."""
        return self.workspace.config

    def desk(self, suffix: str = "", search: Search | None = None) -> Desk:
        """Open the study's storage; ``suffix`` names a part of it, such as one window's own search."""
        searched = search or self.search
        plan = {**self.plan, "windows": f"{searched.windows.count} over {searched.windows.days} days"}
        local = None if self.asked.storage else self.folder
        opened = open_desk(
            storage_of(self.asked.storage, self.folder),
            self.name + suffix,
            plan,
            searched.space,
            directions=searched.directions,
            local=local,
            settings=self.config.plain(),
        )
        opened.is_shared = self.asked.jobs > 1 or local is None
        return opened

    def count(self, desk: Desk) -> None:
        """Enter the trials that the register does not know, those of a run that was killed included.

        Called before any figure of them is shown, and by whoever works on the study.
        """
        records = desk.records()
        if not records:
            return
        first = self.search.objectives[0]
        best = best_of(records, first)
        self.markets.enter_look(
            self.workspace,
            self.sides.start,
            run_id=desk.study.study_name + self.digest,
            metrics={first.name: math.nan if best is None or not best.values else best.values[0]},
            trials=len(records),
        )

    def listener(self, desk: Desk, listen: Listener | None = None) -> Listener:
        """Count trials every few seconds while they are found, and before ``listen`` hears of them."""
        counted = [-1, -_COUNT_EVERY_S]

        def heard(state: Told) -> None:
            now = time.monotonic()
            if state.done and state.done != counted[0] and now - counted[1] >= _COUNT_EVERY_S:
                self.count(desk)
                counted[:] = [state.done, now]
            if listen is not None:
                listen(state)

        return heard

    def total(self, desk: Desk) -> int:
        """How many trials there shall be."""
        if self.asked.more is not None:
            wanted: int | None = len(desk.records()) + self.asked.more
        else:
            wanted = self.asked.trials
        if self.search.sampler == "grid":
            size = self.search.grid_size()
            return size if wanted is None else min(wanted, size)
        return self.config.search.trials if wanted is None else wanted

    def work(self, desk: Desk, total: int, listener: Listener | None) -> Worker:
        """Fill the study, in as many processes as are asked for; give the worker of this one."""
        stop = self.stop()
        worker = Worker(self.search, desk, self.sides, listener, stop)
        if self.asked.jobs == 1:
            self._finish(worker, desk, total)
            return worker
        own = replace(self.asked, jobs=1)
        start = multiprocessing.get_context("spawn")
        helpers = [
            start.Process(target=_help, args=(self.config, self.markets.account, own, self.name, total), daemon=True)
            for _ in range(self.asked.jobs - 1)
        ]
        with _no_script():
            for helper in helpers:
                helper.start()
        try:
            worker.work(total)
            for helper in helpers:
                helper.join()
            self._finish(worker, desk, total)  # what a helper that died left behind
        finally:
            for helper in helpers:
                if helper.is_alive():
                    helper.terminate()
                helper.join()
        return worker

    def _finish(self, worker: Worker, desk: Desk, total: int) -> None:
        """Work until the study is full; where others have the last blocks, wait for them."""
        worker.work(total)
        while len(desk.records()) < total and not worker.stop():
            time.sleep(_WAIT_S)
            worker.work(total)

    def stop(self) -> Callable[[], bool]:
        """Ask whether the time is over."""
        if self.asked.timeout_s is None:
            return lambda: False
        end = time.monotonic() + self.asked.timeout_s
        return lambda: time.monotonic() > end


def open_study(workspace: Workspace, account: str, asked: Asked, *, command: str = "optimize") -> Study:
    """Load the markets of an account, read the space and name the study.

    Raises :class:`ConfigError` for settings that cannot be.
    """
    config = workspace.config
    check_settings(config)
    if config.account.tranches:
        told = "a search trades one position at a time; leave it out of the search, then backtest the settings with it"
        raise ConfigError(config.complaint(("account", "tranches"), told))
    objectives = tuple(_objective(config, name) for name in config.search.objectives)
    space = search_space(config, score_ranges(config))
    refuse_strange_settings(config, space)
    workspace.report(0, 1, "loading the market")
    markets = SearchedMarkets.load(workspace, account, run_id=asked.name or "optimize", command=command)
    clock = markets.clock
    start = first_step(config, markets, space)
    for market in markets.markets:
        markets.start_of(market, start)
    days = search_days(clock, start)
    try:
        search = Search(
            space=space,
            objectives=objectives,
            windows=Windows(days, config.search.windows),
            sampler=config.search.sampler,
            trade_sides=config.search.trade_sides,
            constraints=Constraints(config.search.min_trades, config.search.max_drawdown),
            seed=config.search.seed,
            prune=config.search.prune,
        )
    except ValueError as error:
        raise ConfigError(config.complaint(("search",), str(error))) from None
    plan = {
        "space": space.plain(),
        "data": f"{markets.fingerprint}, {utc(clock.open_time[0])} to {utc(clock.open_time[-1])}",
        "settings": leaves(material(config)),
        "search": {
            "objectives": [objective.name for objective in objectives],
            "sampler": search.sampler,
            "trade_sides": search.trade_sides,
            "min_trades": search.constraints.min_trades,
            "max_drawdown": search.constraints.max_drawdown,
            "seed": search.seed,
            "prune": search.prune,
            "start": start,
        },
        "market": markets.name,
        "symbol": account,
    }
    digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:8]
    name = asked.name or f"{_file_name(markets.title)}-{config.data.timeframe}-{digest}"
    if "/" in name or name in {".", ".."}:
        raise RunError(f"study {name!r}: the name becomes a folder; leave out the slash")
    folder = config.runs_root / "studies" / name
    folder.mkdir(parents=True, exist_ok=True)
    sides = ModelSides(replace(workspace, progress=None), markets, space, start)
    return Study(
        workspace, markets, search, sides, name, folder, plan, asked, "" if name.endswith(digest) else f"#{digest}"
    )


def _file_name(title: str) -> str:
    return title.replace("/", "").replace(":", "-").replace(" ", "")


def help_study(workspace: Workspace, account: str, asked: Asked, total: int | None = None) -> int:
    """Work on a study beside others until it is full; give how many trials it has."""
    study = open_study(workspace, account, asked, command="optimize worker")
    desk = study.desk()
    desk.is_shared = True
    wanted = study.total(desk) if total is None else total
    try:
        listener = study.listener(desk, partial(_tell, workspace))
        Worker(study.search, desk, study.sides, listener, study.stop()).work(wanted)
    finally:
        study.count(desk)
    finished = len(desk.records())
    desk.close()
    return finished


def begun_study(workspace: Workspace, asked: Asked) -> tuple[Workspace, str]:
    """Look up a study that exists; give a workspace with the settings it was begun with, and its account.

    So a study that was begun with ``--set`` or ``--sampler`` is gone on with without naming them again; what this
    command line names is laid over them. Without a name nothing is looked up. Raises :class:`RunError` where there is
    no study of this name.
    """
    if not asked.name:
        return workspace, accounts(workspace.config)[0]
    root = workspace.config.runs_root / "studies"
    folder = root / asked.name
    if not asked.storage and not (folder / "journal.log").is_file():
        there = ", ".join(sorted(file.parent.name for file in root.glob("*/journal.log"))) or "none yet"
        raise RunError(f"study {asked.name!r}: not found in {root}; there is {there}")
    plan, settings = stored_plan(storage_of(asked.storage, folder), asked.name)
    config = workspace.config
    if settings is not None:
        config = read_again(settings, config, f"study {asked.name}")
    told = {f"search.{key}": plan["search"][key] for key in _WAYS}
    told["search.windows"] = int(plan["windows"].split()[0])
    return replace(workspace, config=with_values(config, told, f"study {asked.name}")), plan["symbol"]


def _tell(workspace: Workspace, told: Any) -> None:
    workspace.report(told.done, told.total, "searching")


def _help(config: Config, account: str, asked: Asked, name: str, total: int) -> None:
    """Be a helper process."""
    import signal

    from itb.runs.workspace import Workspace

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends its helpers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(1)
    alone = with_values(config, {"walkforward.workers": 1}, "search")
    try:
        help_study(Workspace(alone), account, replace(asked, name=name), total)
    except ItbError as error:
        print(f"itb: a helper has ended: {error}", file=sys.stderr)  # noqa: T201  (the first process goes on)


@contextmanager
def _no_script() -> Iterator[None]:
    """Let processes that are spawned inside not run the person's script again; helpers need nothing of it."""
    script: Any = sys.modules["__main__"]
    kept = {name: getattr(script, name) for name in ("__file__", "__spec__") if hasattr(script, name)}
    script.__spec__ = None
    if "__file__" in kept:
        del script.__file__
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(script, name, value)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, ``kill -9`` included; what is stored is whole."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _objective(config: Config, name: str) -> Any:
    if name not in OBJECTIVES:
        from itb.config.messages import unknown_name

        raise ConfigError(config.complaint(("search", "objectives"), unknown_name("objective", name, OBJECTIVES)))
    return OBJECTIVES[name]
