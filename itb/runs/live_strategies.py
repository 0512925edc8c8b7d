"""Which strategies a bot runs, with which settings and which share of the account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from itb.runs.strategy import choose_strategy

if TYPE_CHECKING:
    from itb.config.live import LiveStrategyPart, ShadowPart
    from itb.market.bars import Bars
    from itb.runs.workspace import Workspace

ALONE = "main"
"""What the one strategy of ``[strategy]`` is called where ``[[live.strategies]]`` name no others."""


@dataclass(frozen=True)
class LiveStrategy:
    """A strategy class with its settings, its name in the journal and its share of the account.

    ``tranche`` is its number among those that take turns, 0 where it stands alone.
    """

    name: str
    strategy: type[Any]
    settings: Mapping[str, Any]
    share: float
    tranche: int = 0


def live_strategies(workspace: Workspace, *markets: Bars) -> tuple[LiveStrategy, ...]:
    """Give those of ``[[live.strategies]]``, or the one of ``[strategy]``; shares that are not said are even.

    ``markets`` are the bars of each symbol that a strategy gets a feed of.
    """
    parts = workspace.config.live.strategies
    if not parts:
        return (_chosen(workspace, markets, ALONE, 1.0),)
    left = 1 - sum(part.allocation for part in parts)
    silent = sum(part.allocation == 0 for part in parts)
    return tuple(
        _chosen(variant(workspace, part), markets, part.called, part.allocation or left / silent) for part in parts
    )


def live_shadows(workspace: Workspace, *markets: Bars) -> Mapping[str, tuple[LiveStrategy, ...]]:
    """Give the variants that are only watched, by name: one strategy each, or as many as it has tranches."""
    return {part.called: _shadow(workspace, part, markets) for part in workspace.config.live.shadows}


def _shadow(workspace: Workspace, part: ShadowPart, markets: Sequence[Bars]) -> tuple[LiveStrategy, ...]:
    place = variant(workspace, part)
    if not part.tranches:
        return (_chosen(place, markets, part.called, 1.0),)
    one = _chosen(place, markets, part.called, 1 / part.tranches)
    return tuple(
        replace(one, name=f"{part.called}-{number + 1}", tranche=number + 1) for number in range(part.tranches)
    )


def variant(workspace: Workspace, part: LiveStrategyPart | ShadowPart) -> Workspace:
    """Give the workspace with another ``[strategy]``: its keys over those that stand, where the class is the same."""
    config = workspace.config
    standing = config.strategy
    is_same = part.name in {"", standing.name}
    table = {**(standing.settings if is_same else {}), **part.settings, "name": part.name or standing.name}
    changed = config.changed(strategy=type(standing).model_validate(table))
    return replace(workspace, config=changed)


def settings_told(chosen: Sequence[LiveStrategy]) -> dict[str, dict[str, Any]]:
    """Give the settings of strategies that are numbers or words, for the event log: thresholds among them."""
    return {
        one.name: {name: value for name, value in one.settings.items() if isinstance(value, (int, float, str))}
        for one in chosen
    }


def _chosen(workspace: Workspace, markets: Sequence[Bars], name: str, share: float) -> LiveStrategy:
    chosen = choose_strategy(workspace, *markets)
    return LiveStrategy(name, chosen.strategy, chosen.parameters, share)
