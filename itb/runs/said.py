"""What a command has to say, for a person and for a program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.charts.data import Table


@dataclass(frozen=True)
class Said:
    """``data`` is what ``--json`` prints; ``table`` and ``lines`` are what a person reads.

    ``found`` says that something is wrong with what was looked at (exit code 1), not with what was asked (2).
    """

    data: Mapping[str, Any]
    lines: tuple[str, ...] = ()
    table: Table | None = None
    found: bool = field(default=False)
