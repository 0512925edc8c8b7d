"""Refits in processes of their own: one thread each, arrays shared through files, the same bits as in one process."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import fields
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from itb.errors import ItbError, ModelError
from itb.mlmodels.fold import FoldData, FoldJob, fit_fold

_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
_GONE = (EOFError, BrokenPipeError, ConnectionResetError)  # how a pipe says that the other end died
_STOP = -1
_ARRAYS = tuple(field.name for field in fields(FoldData) if field.init)


def available_cores() -> int:
    """Give how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def shared(data: FoldData, folder: Path) -> Iterator[Path]:
    """Write the arrays where workers can map them, as long as the context lasts; give the folder."""
    place = folder / f"shared.{os.getpid()}.draft"
    place.mkdir(parents=True, exist_ok=True)
    try:
        for name in _ARRAYS:
            source = getattr(data, name)
            if source is None:
                continue
            target = np.lib.format.open_memmap(place / f"{name}.npy", mode="w+", dtype=source.dtype, shape=source.shape)
            for i in range(0, len(source), 65_536):
                target[i : i + 65_536] = source[i : i + 65_536]
            target.flush()
            del target
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def fit_in_processes(job: FoldJob, place: Path, numbers: Sequence[int], workers: int) -> Iterator[int]:
    """Run refits in this process and ``workers`` - 1 more; give the number of each as it is done, in whatever order.

    Each result is in its file by then. This process works in a thread, since it has imported everything already;
    others are spawned, not forked, and end by themselves if this process is killed. Raises :class:`ModelError` when a
    refit fails or a worker dies.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(numbers)  # the last first: where windows expand they cost most, and nobody waits at the end
    running: dict[Connection, tuple[Worker, int]] = {}
    try:
        for place_in_line in range(min(workers, len(waiting))):
            ours, theirs = context.Pipe()
            worker: Worker
            if place_in_line == 0:
                worker = _Here(target=_serve, args=(theirs, job, place), daemon=True)
                worker.start()
            else:
                worker = context.Process(target=_serve_alone, args=(theirs, job, place), daemon=True)
                with _environment():
                    worker.start()
                theirs.close()
            running[ours] = (worker, waiting.pop())
            _send(ours, *running[ours])
        while running:
            for line in wait(list(running)):
                assert isinstance(line, Connection)
                worker, number = running[line]
                _receive(line, worker, number)
                yield number
                if waiting:
                    running[line] = (worker, waiting.pop())
                    _send(line, *running[line])
                else:
                    del running[line]
                    with contextlib.suppress(*_GONE):  # it has nothing left to do
                        line.send(_STOP)
                    worker.join()
                    line.close()
    finally:
        for line, (worker, _) in running.items():
            line.close()
            worker.terminate()
            worker.join()


class Worker(Protocol):
    """A process, or a thread of this one."""

    @property
    def exitcode(self) -> int | None: ...
    def join(self) -> None: ...
    def terminate(self) -> None: ...


class _Here(threading.Thread):
    """The worker that is this process: it stops after its refit when its line is closed."""

    exitcode = 1

    def terminate(self) -> None:
        """Do nothing: a thread cannot be ended from outside."""


def _send(line: Connection, worker: Worker, number: int) -> None:
    try:
        line.send(number)
    except _GONE:
        raise _death(worker, number) from None


def _receive(line: Connection, worker: Worker, number: int) -> None:
    try:
        complaint: str = line.recv()
    except _GONE:
        raise _death(worker, number) from None
    if complaint:
        raise ModelError(f"refit {number}: {complaint}")


def _death(worker: Worker, number: int) -> ModelError:
    worker.join()
    code = worker.exitcode
    hint = "its own message is above" if code == 1 else "if memory ran out: workers = 1, or raise every_nth_row"
    return ModelError(f"a worker process died (exit code {code}) in refit {number}; {hint}")


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    before: dict[str, Any] = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve_alone(line: Connection, job: FoldJob, place: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is answered by the process that started this one
    _serve(line, job, place)


def _serve(line: Connection, job: FoldJob, place: Path) -> None:
    files = {name: place / f"{name}.npy" for name in _ARRAYS}
    data = FoldData(**{name: np.load(file, mmap_mode="r") for name, file in files.items() if file.exists()})
    with contextlib.suppress(*_GONE), line:  # nobody is there any more
        while (number := line.recv()) != _STOP:
            try:
                fit_fold(job, data, number)
            except (ItbError, ValueError, OSError, MemoryError, ArithmeticError) as error:
                line.send(f"{type(error).__name__}: {error}")
            else:
                line.send("")
