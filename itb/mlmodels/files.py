"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

_ABANDONED_S = 3600


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that, whenever the process is killed, readers find the old content, the new, or no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    with draft.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def sweep_drafts(folder: Path, now: float | None = None) -> int:
    """Remove drafts (files and folders) that a killed process left more than an hour ago; give how many."""
    newest = (time.time() if now is None else now) - _ABANDONED_S
    drafts = [path for path in folder.rglob("*.draft") if path.stat().st_mtime < newest]
    for draft in drafts:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
    return len(drafts)
