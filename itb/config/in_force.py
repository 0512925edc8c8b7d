"""Every setting in force: what was set, and what each part takes by default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from itb.config.catalogue import plain
from itb.config.dump import notes_of
from itb.config.parts import SECTIONS, parameters, registry
from itb.config.toml import to_toml

if TYPE_CHECKING:
    from itb.config.messages import Location
    from itb.config.model import Config
    from itb.config.sections import Part


_BY_THE_BARS = {("features", "flow")}
"""What the bars decide where nothing is set, so that no default can be told."""


def in_force(config: Config) -> tuple[dict[str, Any], str]:
    """Give every setting as plain tables, and as TOML that says behind each key who set it.

    A key that a part takes by default is told too, unless the default is that nothing is set. A strategy of one's own
    is not looked into.

    >>> from itb.config.model import Config
    >>> tables, text = in_force(Config())
    >>> tables["model"]["num_leaves"], "num_leaves = 15  # default" in text
    (15, True)
    """
    tables = config.plain()
    notes = notes_of(config, tables)
    for of, at, part in _parts(config):
        kinds = registry(of)
        name = of if part.selector is None else part.chosen
        table: Any = tables
        for step in at:
            table = table[step]
        for one in parameters(of, kinds[name]) if name in kinds else ():
            default = None if one.is_required else plain(one.annotation, one.default)
            if one.name not in table and default is not None and (of, one.name) not in _BY_THE_BARS:
                table[one.name] = default
                notes[(*at, one.name)] = "default"
    return tables, to_toml(tables, notes)


def _parts(config: Config) -> Iterator[tuple[str, Location, Part]]:
    for of, several in (("features", config.features), ("label", config.all_labels), ("model", config.all_models)):
        for number, part in enumerate(several):
            yield of, config.place(of, number), part
    yield "strategy", ("strategy",), config.strategy
    yield "promotion", SECTIONS["promotion"], config.walkforward.promotion
    if config.data.is_synthetic:
        yield "synthetic", ("synthetic",), config.synthetic
