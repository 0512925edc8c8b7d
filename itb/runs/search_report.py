"""The page of a finished search."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from itb.runs.optimize import Searched


def write_report(done: Searched) -> None:
    """Write ``report.html`` into the study's folder."""
    del done
