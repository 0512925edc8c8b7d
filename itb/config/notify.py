"""The sections that say what people are told, and by which ways."""

from __future__ import annotations

from typing import ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from itb.config.sections import Part, Section


class OutputPart(Part):
    """Something that people are told; repeat `[[outputs]]` for more. A backtest previews it: `itb notify preview`."""

    selector: ClassVar[str | None] = "kind"

    kind: str = Field(description="Name of the notifier; its own keys follow.")


class NotifySection(Section):
    """How people are told."""

    zone: str = Field(
        default="UTC", examples=["Europe/Berlin"], description="Time zone in which times are told to people."
    )
    theme: Literal["dark", "light"] = Field(default="dark", description="Colours of pictures.")

    @field_validator("zone")
    @classmethod
    def _refuse_unknown_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f'expected a time zone such as "UTC" or "Europe/Berlin", was "{zone}"') from None
        return zone
