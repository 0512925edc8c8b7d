"""Kinds of value a setting can have: a moment, a length of time, a timeframe, a symbol, a number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from itb.market.instrument import canonical_symbol
from itb.market.span import Span
from itb.market.timeframe import DAY_MS, MINUTE_MS, Timeframe

_LENGTH_UNITS = {"ms": 1, "s": 1000, "m": MINUTE_MS, "h": 60 * MINUTE_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_LENGTH = re.compile(r"([0-9]{1,9})(ms|s|m|h|d|w)")


@dataclass(frozen=True)
class Length:
    """A length of time in milliseconds, 0 or more.

    >>> Length.parse("90s").ms, Length.parse("0m").ms, str(Length.parse("48h"))
    (90000, 0, '2d')
    """

    ms: int

    @classmethod
    def parse(cls, value: object) -> Length:
        """Read ``"1m"`` (ms, s, m, h, d, w); raise ``ValueError`` for anything else."""
        found = _LENGTH.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f'expected a length such as "1m", "30s" or "8h", was {value!r}')
        return cls(int(found[1]) * _LENGTH_UNITS[found[2]])

    def __str__(self) -> str:
        if self.ms == 0:
            return "0m"
        unit = next(u for u in ("d", "h", "m", "s", "ms") if self.ms % _LENGTH_UNITS[u] == 0)
        return f"{self.ms // _LENGTH_UNITS[unit]}{unit}"


def to_moment(value: object) -> datetime:
    """Read an ISO date or time as an aware UTC time; what names no zone is taken as UTC.

    >>> to_moment("2024-03-01").isoformat()
    '2024-03-01T00:00:00+00:00'
    >>> to_moment("2024-03-01T02:00:00+02:00").isoformat()
    '2024-03-01T00:00:00+00:00'
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(_text(value))
    except ValueError:
        raise ValueError(f"expected a date such as 2024-03-01 or 2024-03-01T12:00:00Z, was {value!r}") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def plain_moment(time: datetime) -> str:
    """Print a moment as the config file writes it: a date at midnight UTC, else date and time.

    >>> plain_moment(to_moment("2024-03-01T00:00"))
    '2024-03-01'
    """
    if (time.hour, time.minute, time.second, time.microsecond) == (0, 0, 0, 0):
        return time.date().isoformat()
    return time.isoformat().replace("+00:00", "Z")


def to_ms(time: datetime | None) -> int | None:
    """UTC milliseconds of a moment; ``None`` stays ``None``."""
    return None if time is None else round(time.timestamp() * 1000)


def from_ms(time_ms: int) -> datetime:
    """Give the moment of UTC milliseconds."""
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"expected text in quotes, was {value!r}")


def _timeframe(value: object) -> Timeframe:
    return value if isinstance(value, Timeframe) else Timeframe.parse(_text(value))


def _span(value: object) -> Span:
    return value if isinstance(value, Span) else Span.parse(value)


def _length(value: object) -> Length:
    return value if isinstance(value, Length) else Length.parse(value)


def _path(value: object) -> Path:
    return value if isinstance(value, Path) else Path(_text(value))


def _decimal(value: object) -> Decimal:
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        number = Decimal("NaN")
    if number.is_finite():
        return number
    raise ValueError(f"expected a number, was {value!r}")


TimeframeValue = Annotated[
    Timeframe,
    PlainValidator(_timeframe),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]*[mhdw]$"}),
]
SpanValue = Annotated[
    Span,
    PlainValidator(_span),
    PlainSerializer(Span.plain),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": "^[1-9][0-9]*[mhdw]$"}, {"type": "integer", "minimum": 1}]}
    ),
]
LengthValue = Annotated[
    Length,
    PlainValidator(_length),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h|d|w)$"}),
]
Moment = Annotated[
    datetime,
    PlainValidator(to_moment),
    PlainSerializer(plain_moment),
    WithJsonSchema({"type": "string", "format": "date"}),
]
Folder = Annotated[Path, PlainValidator(_path), PlainSerializer(str), WithJsonSchema({"type": "string"})]
Number = Annotated[
    Decimal,
    PlainValidator(_decimal),
    PlainSerializer(float),
    WithJsonSchema({"type": "number"}),
]
ColumnName = Annotated[str, Field(pattern="^[A-Za-z0-9_.-]+$")]
Symbol = Annotated[str, AfterValidator(canonical_symbol)]
Count = Annotated[int, Field(ge=0)]
