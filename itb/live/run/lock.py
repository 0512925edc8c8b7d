"""One bot at a time: a lock that the operating system takes back when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self
from weakref import WeakSet

from itb.errors import ItbError

LOCK_FILE = "lock"


class RunningError(ItbError):
    """The bot runs already, or another one trades on the same account."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock, in its own words; ``since`` is wall time in UTC milliseconds."""

    pid: int = 0
    since: int = 0
    what: str = ""


class InstanceLock:
    """Hold a lock file until :meth:`release` or the process's end; a second holder is refused at once.

    Processes that this one starts do not hold it: a child that outlives a killed bot does not keep the next one out.
    ``what`` is told to whoever is refused. Works on local disks; network file systems may not keep locks.

    Parameters
    ----------
    file
        The lock file; it stays, and says nothing while nobody holds it.
    what
        Who holds it, such as ``bot demo``.
    """

    def __init__(self, file: Path, what: str = "bot") -> None:
        self.file, self.what = file, what
        self._handle = -1

    def acquire(self) -> Self:
        """Take it, or raise :class:`RunningError` naming the holder."""
        handle = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise RunningError(_refusal(self.file, self.what)) from None
        except OSError:
            os.close(handle)
            raise
        self._handle = handle
        _forget_in_children(self)
        said = json.dumps(asdict(Holder(os.getpid(), time.time_ns() // 1_000_000, self.what)))
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, said.encode(), 0)
        except OSError:  # a full disk: the lock holds without words
            os.ftruncate(handle, 0)
        return self

    def release(self) -> None:
        """Let it go; twice is no error."""
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            os.ftruncate(handle, 0)
            os.close(handle)

    @property
    def is_held(self) -> bool:
        """Whether this process holds it by this object."""
        return self._handle >= 0

    def close_in_child(self) -> None:
        """Drop a forked child's copy without unlocking."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


_held: WeakSet[InstanceLock] = WeakSet()
_registered: list[int] = []


def _forget_in_children(lock: InstanceLock) -> None:
    _held.add(lock)
    if not _registered:
        os.register_at_fork(after_in_child=_forget)
        _registered.append(os.getpid())


def _forget() -> None:
    for lock in list(_held):
        lock.close_in_child()


def holder(file: Path) -> Holder | None:
    """Say who holds a lock now, ``None`` if nobody does; a file without a holder means nothing.

    Parameters
    ----------
    file
        The lock file.
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return Holder(**json.loads(os.pread(handle, 4096, 0)))
        except (ValueError, TypeError):
            return Holder()
    else:
        return None
    finally:
        os.close(handle)


def _refusal(file: Path, what: str) -> str:
    found = holder(file) or Holder()
    by = f"process {found.pid} ({found.what})" if found.pid else "another process"
    return f"{what}: {by} holds {file}; look at it with `itb live status`, end it with `itb live stop`"


def account_lock_file(exchange: str, api_key: str) -> Path:
    """Where bots of one account on one machine meet, whatever folders they run in; tells nothing of the key.

    >>> account_lock_file("binance", "key").name
    'binance-50ef697662342e76.lock'
    """
    print_ = hashlib.sha256(f"{exchange}\n{api_key}".encode()).hexdigest()[:16]
    root = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = root / "itb" / "accounts"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{exchange}-{print_}.lock"
