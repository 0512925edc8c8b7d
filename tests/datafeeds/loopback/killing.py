"""Runs a function in a process of its own and ends that process at a chosen moment."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["itb.datafeeds.archive", "itb.datafeeds.download", "pyarrow.parquet", "pyarrow.csv"])


def run_and_end(
    target: Callable[..., object],
    *args: object,
    server: Any,
    at_request: int,
    after_s: float = 0.0,
    with_signal: int = signal.SIGKILL,
    **options: object,
) -> int | None:
    """Send the signal ``after_s`` after the server's request number ``at_request``; give the exit code."""
    due = threading.Event()
    server.on_request = lambda count: due.set() if count == at_request else None
    child = PROCESSES.Process(target=target, args=args, kwargs=options, daemon=True)
    child.start()
    assert due.wait(120), "the process did not come that far"
    threading.Event().wait(after_s)
    assert child.pid is not None
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself, and its parent is the server of forks
        os.kill(child.pid, with_signal)
    child.join()
    server.on_request = lambda count: None
    return child.exitcode
