"""The socket through which a bot is steered: only its owner may open it, and its path may be of any length."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from itb.errors import ItbError

SOCKET = "control.sock"
_LONGEST = 100  # bytes; the address of a unix socket has room for 104 to 108


class NotRunningError(ItbError):
    """Nobody listens: the bot does not run, or not in this folder."""


def private_folder(folder: Path) -> Path:
    """Make a folder that only its owner may enter; refuse one that belongs to somebody else."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise ItbError(
            f"{folder}: belongs to user {found.st_uid}, this is user {os.geteuid()}; use a folder of your own"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)
    return folder


def listen(folder: Path) -> socket.socket:
    """Open the socket of a bot's folder; a socket that a killed process left is replaced.

    Hold the folder's lock: whoever does is the only one who may listen here.
    """
    private_folder(folder)
    (folder / SOCKET).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.settimeout(0.0)
        os.fchmod(listening.fileno(), 0o600)  # on Linux the file is born with this mode
        with _short_path(folder) as path:
            listening.bind(path)
        (folder / SOCKET).chmod(0o600)
        listening.listen(16)
    except BaseException:
        listening.close()
        raise
    return listening


def dial(folder: Path, timeout_s: float) -> socket.socket:
    """Connect to the bot of a folder; raise :class:`NotRunningError` when nobody listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        with _short_path(folder) as path:
            connection.connect(path)
    except OSError as error:
        connection.close()
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise ItbError(f"{folder / SOCKET}: only its owner may steer this bot; run as that user") from None
        raise NotRunningError(f"{folder}: no bot runs here; start it with `itb live`") from None
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    """Give a path of the socket that fits into an address: through an open handle of the folder where it is long."""
    path = str(folder.absolute() / SOCKET)
    if len(os.fsencode(path)) <= _LONGEST:
        yield path
        return
    if not Path("/proc/self/fd").is_dir():
        raise ItbError(f"{path}: longer than the {_LONGEST} bytes that a socket's path may have; move the project")
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET}"
    finally:
        os.close(handle)
