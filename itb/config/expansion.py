"""One table of features becomes one feature: for other sources, longer timeframes and earlier bars as well."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from itb.config.model import Config
from itb.config.sections import FeaturePart

if TYPE_CHECKING:
    from itb.indicators.feature import Feature

KEYS = tuple(name for name in FeaturePart.model_fields if name != "family")
"""The keys of ``[[features]]`` that any family takes."""

Make = Callable[[Mapping[str, Any]], "Feature"]


def expanded(config: Config, part: FeaturePart, columns: Collection[str], own: Collection[str], make: Make) -> Feature:
    """Build one family on everything that its table asks for, side by side; ``own`` are the family's own keys.

    The family comes first on its own bars (the main ones, or those of ``source``), then on those of each of ``coins``;
    there first on the main timeframe, then on each of ``timeframes``; every column now, then ``shifts`` bars ago.
    A family with a key ``coins`` of its own is told the coins and computed once.
    """
    from itb.indicators.expansion import Named, Shifted, SideBySide
    from itb.indicators.on_source import OnSource
    from itb.indicators.on_timeframe import OnTimeframe

    if part.shifts and min(part.shifts) < 1:
        raise ValueError(f"shifts must be 1 or more bars ago (0 is there anyway), was {min(part.shifts)}")
    built: list[Feature] = []
    for source, name in _sources(config, part, own):
        family = make(_settings(config, part, own, _seen(columns, source)))
        feature: Feature = Shifted(family, (0, *part.shifts)) if part.shifts else family
        for timeframe in (None, *(part.timeframes or ())):
            there: Feature = feature if timeframe is None else OnTimeframe(feature, timeframe, config.data.timeframe)
            there = OnSource(there, source) if source else there
            prefix = _joined(name, "" if timeframe is None else str(timeframe))
            built.append(Named(there, prefix) if prefix else there)
    return built[0] if len(built) == 1 else SideBySide(tuple(built))


def prefix_of(config: Config, source: str) -> str:
    """Give what a source's columns begin with; a name that no source has stands for itself."""
    found = config.source_named(source)
    return source if found is None else found.put_before


def _sources(config: Config, part: FeaturePart, own: Collection[str]) -> Iterator[tuple[str, str]]:
    """Give the prefix of each source's columns (empty for the main bars), and how its features' names begin."""
    main = prefix_of(config, part.source) if part.source else ""
    yield main, main if part.prefix is None else part.prefix
    for coin in () if "coins" in own else part.coins or ():
        prefix = prefix_of(config, coin)
        yield prefix, _joined(part.prefix or "", prefix)


def _settings(config: Config, part: FeaturePart, own: Collection[str], columns: Collection[str]) -> dict[str, Any]:
    from itb.indicators.default_features import FLOW_NEEDS

    told: dict[str, Any] = {}
    if "coins" in own and part.coins is not None:
        told["coins"] = [prefix_of(config, coin) for coin in part.coins]
    if part.family == "default" and set(FLOW_NEEDS) <= set(columns):
        told["flow"] = True
    return told | part.settings


def _seen(columns: Collection[str], source: str) -> Collection[str]:
    if not source:
        return columns
    return {name.removeprefix(f"{source}_") for name in columns if name.startswith(f"{source}_")}


def _joined(*words: str) -> str:
    return "_".join(word for word in words if word)
