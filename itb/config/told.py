"""From a config's tables to what people are told, and by which ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.config import parts
from itb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.config.model import Config
    from itb.live.notify.clerk import Output
    from itb.live.notify.ways.way import WayPart


def ways(config: Config) -> Mapping[str, WayPart]:
    """Build the configured ways, by name; raise :class:`itb.errors.ConfigError` where two have the same."""
    found: dict[str, WayPart] = {}
    for number, part in enumerate(config.ways):
        if part.called in found:
            told = f'"{part.called}" is there twice; give one of them a name of its own'
            raise ConfigError(config.complaint(("ways", number, "name"), told))
        found[part.called] = parts.named(config, "ways", part, ("ways", number))
    return found


def outputs(config: Config) -> tuple[Output, ...]:
    """Build the configured outputs, in order, each with its name and the ways that its messages go."""
    from itb.live.notify.clerk import Output

    known = [part.called for part in config.ways]
    built: list[Output] = []
    for number, part in enumerate(config.outputs):
        unknown = next((way for way in part.ways or () if way not in known), None)
        if unknown is not None:
            told = f'no way is called "{unknown}"; the ways are {", ".join(known) or "none"}'
            raise ConfigError(config.complaint(("outputs", number, "ways"), told))
        name = part.name or f"{part.kind}-{number + 1}"
        if name in [one.name for one in built]:
            raise ConfigError(config.complaint(("outputs", number, "name"), f'"{name}" is there twice'))
        notifier = parts.named(config, "outputs", part, ("outputs", number))
        built.append(Output(name, notifier, tuple(known if part.ways is None else part.ways)))
    return tuple(built)
