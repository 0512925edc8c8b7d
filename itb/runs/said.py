"""What a command has to say, for a person and for a program."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from itb.charts.data import Table


@dataclass(frozen=True)
class Said:
    """``data`` is what ``--json`` prints; ``table`` and ``lines`` are what a person reads.

    On a terminal ``drawn`` is shown instead, where there is something.
    ``found`` says that something is wrong with what was looked at (exit code 1), not with what was asked (2).
    """

    data: Mapping[str, Any]
    lines: tuple[str, ...] = ()
    table: Table | None = None
    found: bool = field(default=False)
    drawn: Callable[[], RenderableType] | None = None

    @property
    def json(self) -> str:
        r"""``data`` as JSON that every reader takes: numbers that are not finite are ``null``.

        >>> Said({"sharpe": float("nan")}).json
        '{\n "sharpe": null\n}'
        """
        return json.dumps(_finite(self.data), indent=1, default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
