"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

_ABANDONED_S = 3600


def write_whole(path: Path, content: bytes | Callable[[IO[bytes]], object]) -> None:
    """Write a file so that, whenever the process is killed, readers find the old content, the new, or no file.

    ``content`` may be a function that writes it, piece by piece; nothing is left of it where that fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("wb") as stream:
            if callable(content):
                content(stream)
            else:
                stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def file_stamp(path: Path) -> tuple[int, int, int]:
    """Give what differs once a file was written anew, without reading it; raise ``FileNotFoundError`` for none."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def sweep_drafts(folder: Path, now: float | None = None) -> int:
    """Remove drafts (files and folders) that a killed process left more than an hour ago; give how many."""
    newest = (time.time() if now is None else now) - _ABANDONED_S
    drafts = [path for path in folder.rglob("*.draft") if _changed(path) < newest]
    for draft in drafts:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
    return len(drafts)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has just finished it
        return float("inf")
