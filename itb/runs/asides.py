"""Longer works beside a running bot, each in a process that knows no keys, gives way to trading and ends in time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from itb.config.load import with_values
from itb.errors import ItbError
from itb.runs.children import keyless_environment
from itb.runs.said import Said
from itb.runs.workspace import Workspace

if TYPE_CHECKING:
    from itb.config import Config

LIMIT_S = 900
NICE = 10
_CHILD = "from itb.runs.asides import work_child; work_child()"


async def aside(config: Config, work: str, **asked: Any) -> Any:
    """Do one of :data:`WORKS` by a config in a child process; give what it found as JSON knows it.

    Raises :class:`itb.errors.ItbError` where it fails or takes longer than :data:`LIMIT_S`. It is ended with whoever
    waits for it, and by itself where that one was killed.
    """
    tables = config.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    job = {"work": work, "config": tables, "folder": str(config.folder.resolve()), "asked": asked}
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CHILD, stdin=pipe, stdout=pipe, stderr=pipe,
        cwd=config.folder, env=keyless_environment(), start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            out, err = await child.communicate(json.dumps(job).encode())
    except TimeoutError:
        raise ItbError(f"{work}: was ended after {LIMIT_S // 60} minutes; run it from a terminal") from None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
    if child.returncode:
        last = err.decode(errors="replace").strip().splitlines()[-1:] or [f"it ended with {child.returncode}"]
        raise ItbError(f"{work}: failed: {last[0]}")
    return json.loads(out)


def work_child() -> None:
    """Do what a job on the standard input asks; the child's main function."""
    from itb.config import Config

    signal.alarm(LIMIT_S + 60)
    os.nice(NICE)
    told, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no part of the answer
    job: dict[str, Any] = json.load(sys.stdin)
    config = Config.model_validate(job["config"]).of(None, Path(job["folder"]), {})
    alone = with_values(config, {"walkforward.workers": 1}, "beside a bot")
    try:
        found = WORKS[job["work"]](Workspace(alone), **job["asked"])
    except ItbError as error:
        sys.exit(str(error).replace("\n", "; "))
    told.write(Said(found).json)


def _backtest(workspace: Workspace, days: int) -> Mapping[str, Any]:
    from itb.runs.short_backtest import short_backtest

    return short_backtest(workspace, days)


def _studies(workspace: Workspace, most: int) -> Mapping[str, Any]:
    from itb.runs.studies import studies

    return {"studies": [one.plain() for one in studies(workspace, most)]}


def _expected(workspace: Workspace, run: str) -> Mapping[str, Any]:
    from itb.runs.expected import keep_expectations

    keep_expectations(workspace, run)
    return {}


WORKS: Mapping[str, Callable[..., Mapping[str, Any]]] = {
    "backtest": _backtest,
    "studies": _studies,
    "expected": _expected,
}
