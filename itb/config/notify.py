"""The sections that say what people are told, and by which ways."""

from __future__ import annotations

from typing import ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from itb.config.sections import Part, Section
from itb.config.values import ColumnName, Length, LengthValue


class OutputPart(Part):
    """Something that people are told; repeat `[[outputs]]` for more. A backtest previews it: `itb notify preview`."""

    selector: ClassVar[str | None] = "kind"

    kind: str = Field(description="Name of the notifier; its own keys follow.")
    name: ColumnName | None = Field(
        default=None, description="What its messages are known by in the outbox; not set: its kind, and its place."
    )
    ways: tuple[str, ...] | None = Field(
        default=None, examples=[["telegram"]], description="Names of the ways that its messages go; not set: all ways."
    )


class WayPart(Part):
    """A way by which messages leave; repeat `[[ways]]` for more. `itb notify test` tries them."""

    selector: ClassVar[str | None] = "kind"

    kind: str = Field(description="Name of the way; its own keys follow.")
    name: ColumnName | None = Field(default=None, description="What outputs call it; not set: its kind.")

    @property
    def called(self) -> str:
        """Name by which outputs know it."""
        return self.name or self.kind


class TelegramSection(Section):
    """Who may talk to the bot on Telegram. `itb telegram setup` finds the numbers and keeps them in `.env`."""

    chat: int | str = Field(
        default=0, examples=[123456789], description="Where messages go: number of a chat, or @name of a channel."
    )
    owners: tuple[int, ...] = Field(
        default=(), examples=[[123456789]], description="Numbers of users who may order as well as ask."
    )
    readers: tuple[int, ...] = Field(default=(), description="Numbers of users who may ask.")
    groups: tuple[int, ...] = Field(
        default=(), description="Numbers of groups in which they may; else private chats only."
    )
    max_age: LengthValue = Field(default=Length.parse("1m"), description="What was said longer ago is passed over.")
    answer_within: LengthValue = Field(
        default=Length.parse("30s"), description="How long a question such as that before /stop waits for its answer."
    )


class NotifySection(Section):
    """How people are told."""

    zone: str = Field(
        default="UTC", examples=["Europe/Berlin"], description="Time zone in which times are told to people."
    )
    theme: Literal["dark", "light"] = Field(default="dark", description="Colours of pictures.")
    expect_run: str = Field(
        default="",
        description="Backtest whose grades are expected of live: its name or the beginning of it; not set: the longest "
        "of the same markets, bars, models and strategy.",
    )
    left_band: Literal["tell", "paper"] = Field(
        default="tell",
        description='When what was sent turns out worse than the backtest let expect: "tell", or step down to "paper".',
    )

    @field_validator("zone")
    @classmethod
    def _refuse_unknown_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f'expected a time zone such as "UTC" or "Europe/Berlin", was "{zone}"') from None
        return zone
