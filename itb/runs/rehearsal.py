"""The practice exchange as a process of its own: it outlives a bot that is killed, and ends when nobody asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from itb.errors import GatewayError
from itb.mlmodels.files import write_whole
from itb.runs.children import keyless_environment
from itb.runs.practice import Rehearsal, build_exchange

if TYPE_CHECKING:
    from itb.runs.workspace import Workspace

_CHILD = "from itb.runs.rehearsal import serve_child; import sys; serve_child(sys.argv[1])"
_START_S = 60.0
_IDLE_S = 120.0
_ANSWER_S = 20.0  # a busy machine's; one that is gone refuses at once


@dataclass(frozen=True)
class PracticeProcess:
    """A practice exchange that runs by itself: where it listens, its process, when its replay began."""

    url: str
    pid: int
    start_ms: int

    def is_alive(self) -> bool:
        """Whether it answers, and not another exchange that got its address."""
        try:
            with urllib.request.urlopen(f"{self.url}/practice/clock", timeout=_ANSWER_S) as answer:  # noqa: S310  our own loopback address
                return bool(json.load(answer)["process"] == self.pid)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def stop(self) -> None:
        """End it, if it is still the process that answers under this address."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(self.pid, signal.SIGTERM)


def find_exchange(folder: Path) -> PracticeProcess | None:
    """Give the exchange that an earlier life of the bot left running in ``folder``, ``None`` if there is none."""
    try:
        found = PracticeProcess(**json.loads((folder / "practice.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.is_alive() else None


def begun_with(folder: Path) -> str:
    """Say with what the exchange in ``folder`` was begun: a later life's options do not change it."""
    asked = Rehearsal(**json.loads((folder / "practice-job.json").read_text())["rehearsal"])
    told = [
        f"speed {asked.speed}",
        f"{asked.bars:,} bars" if asked.bars else "",
        f"faults {asked.faults}" if asked.faults else "",
    ]
    return ", ".join(part for part in told if part)


def start_exchange(workspace: Workspace, rehearsal: Rehearsal, folder: Path) -> PracticeProcess:
    """Start one and wait until it listens.

    Raises :class:`itb.errors.GatewayError` if it does not. What is wrong with a rehearsal is said beforehand by
    :func:`itb.runs.practice.build_exchange`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told, log = folder / "practice.json", folder / "practice.log"
    told.unlink(missing_ok=True)
    config = workspace.config
    job = {
        "config": config.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True),
        "folder": str(config.folder.resolve()),
        "rehearsal": asdict(rehearsal),
        "told": str(told.resolve()),
    }
    write_whole(folder / "practice-job.json", json.dumps(job).encode())
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", _CHILD, str((folder / "practice-job.json").resolve())],
        keyless_environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        found = find_exchange(folder)
        if found is not None:
            return found
        if os.waitpid(pid, os.WNOHANG)[0]:
            break
        time.sleep(0.02)
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    raise GatewayError(f"the practice exchange did not start: {last[0]}; see {log}")


def serve_child(job_file: str) -> None:
    """Serve what a job file says until the replay is over or nobody has asked for long; the child's main function."""
    from itb.config import Config
    from itb.runs.workspace import Workspace

    job: dict[str, Any] = json.loads(Path(job_file).read_text())
    config = Config.model_validate(job["config"]).of(None, Path(job["folder"]), {})
    asyncio.run(_serve(Workspace(config), Rehearsal(**job["rehearsal"]), Path(job["told"])))


async def _serve(workspace: Workspace, rehearsal: Rehearsal, told: Path) -> None:
    from itb.live.practice.server import Server

    exchange = build_exchange(workspace, rehearsal)
    exchange.is_held = True
    begins = exchange.venue.now
    server, stopped, loop = Server(exchange), asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    url = await server.start(0)
    write_whole(told, json.dumps({"url": url, "pid": os.getpid(), "start_ms": begins}).encode())
    try:
        while not stopped.is_set() and server.failure is None and server.idle_s < _IDLE_S:
            try:
                async with asyncio.timeout(1.0):
                    await stopped.wait()
            except TimeoutError:
                continue
        if server.failure is not None:
            raise server.failure
    finally:
        await server.stop()
