"""Write the report: one file that opens anywhere, for ever, without a network."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from itb.charts.page import render

if TYPE_CHECKING:
    from itb.charts.data import ReportData


def write_report(data: ReportData, path: Path) -> Path:
    """Write the report as one HTML file, all of it or nothing, and give its path.

    The same data give the same bytes. Missing folders are created; about 5 MB of every file is plotly itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(render(data))
        os.chmod(name, 0o644)  # noqa: PTH101  # mkstemp made it private; a report is for showing
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path
