"""The sections between scores and strategy: the signals, and the grid that varies them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from itb.config.sections import Part, Section, refuse_order
from itb.config.values import Moment, to_ms

_MOST = 10_000  # values of one parameter


class SignalPart(Part):
    """One step from scores to flags; repeat `[[signals]]` for more: each reads scores and what those before it made."""

    selector: ClassVar[str | None] = "kind"

    kind: str = Field(description="Name of the signal; its own keys follow.")


def to_values(given: object) -> tuple[int | float, ...]:
    """Read a list of numbers, or ``{from, to, step}`` with both ends, counted in decimals.

    >>> to_values({"from": 0.1, "to": 0.3, "step": 0.1}), to_values([5, 0.5])
    ((0.1, 0.2, 0.3), (5, 0.5))
    """
    if isinstance(given, dict):
        return _steps(given)
    items = given if isinstance(given, list | tuple) else ()
    if not items or not all(map(_is_number, items)):
        raise ValueError(f"expected a list of numbers, or {{ from = 0.1, to = 0.5, step = 0.1 }}, was {given!r}")
    return tuple(items)


def _steps(given: dict[str, Any]) -> tuple[float, ...]:
    if set(given) != {"from", "to", "step"} or not all(map(_is_number, given.values())):
        raise ValueError(f"expected the numbers from, to and step, was {given!r}")
    first, last, step = (Decimal(str(given[key])) for key in ("from", "to", "step"))
    if step <= 0 or last < first:
        raise ValueError(f"expected a step above 0 and from not above to, was {given!r}")
    count = int((last - first) / step) + 1
    if count > _MOST:
        raise ValueError(f"expected at most {_MOST:,} values, was {count:,}; take a longer step")
    return tuple(float(first + number * step) for number in range(count))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


GridValues = Annotated[
    tuple[float, ...],
    PlainValidator(to_values),
    PlainSerializer(list),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "minItems": 1, "items": {"type": "number"}},
                {
                    "type": "object",
                    "properties": {key: {"type": "number"} for key in ("from", "to", "step")},
                    "required": ["from", "to", "step"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class SimulateSection(Section):
    """What `itb simulate` varies, and what it ranks by."""

    grid: dict[str, GridValues] = Field(
        default={},
        examples=[{"buy_signal_threshold": [0.1, 0.2], "sell_signal_threshold": [-0.2, -0.1]}],
        description="Values by parameter: a threshold of the last signal, or column.parameter of the signal that makes "
        "the column; a list, or a table of from, to and step.",
    )
    direction: Literal["long", "short", "both"] = Field(
        default="long", description="Which side's profit, in percent a month, ranks the trials."
    )
    buy_sell_equal: bool = Field(
        default=False, description="Set each sell threshold to the negative of its buy threshold."
    )
    topn_to_store: int = Field(default=10, ge=1, description="How many of the best trials are shown; the file has all.")
    fill: Literal["next_open", "close"] = Field(
        default="next_open",
        description='Price of a deal: the open after the flag, or the flag\'s own "close", at which nobody can trade.',
    )
    start: Moment | None = Field(
        default=None,
        validation_alias="from",
        serialization_alias="from",
        examples=["2023-01-01"],
        description="First open time that is simulated (UTC); not set: the first bar with scores.",
    )
    stop: Moment | None = Field(
        default=None,
        validation_alias="to",
        serialization_alias="to",
        examples=["2024-01-01"],
        description="Bars that open at this time or later are not simulated (UTC).",
    )

    @property
    def start_ms(self) -> int | None:
        """``from`` in UTC milliseconds."""
        return to_ms(self.start)

    @property
    def stop_ms(self) -> int | None:
        """``to`` in UTC milliseconds."""
        return to_ms(self.stop)

    @model_validator(mode="after")
    def _refuse_impossible_times(self) -> Self:
        refuse_order("from", self.start, "to", self.stop)
        return self
