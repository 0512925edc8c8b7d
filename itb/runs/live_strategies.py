"""Which strategies a bot runs, with which settings and which share of the account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from itb.runs.strategy import choose_strategy

if TYPE_CHECKING:
    from itb.config import Config
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

    With ``account.tranches`` each is there as often. ``markets`` are the bars of each symbol that a strategy gets a
    feed of.
    """
    parts, tranches = workspace.config.live.strategies, workspace.config.account.tranches
    if not parts:
        return _tranches(_chosen(workspace, markets, ALONE, 1.0), tranches)
    left = 1 - sum(part.allocation for part in parts)
    silent = sum(part.allocation == 0 for part in parts)
    chosen = (
        _chosen(variant(workspace, part), markets, part.called, part.allocation or left / silent) for part in parts
    )
    return tuple(tranche for one in chosen for tranche in _tranches(one, tranches))


def live_shadows(workspace: Workspace, *markets: Bars) -> Mapping[str, tuple[LiveStrategy, ...]]:
    """Give the variants that are only watched, by name: one strategy each, or as many as it has tranches."""
    return {
        part.called: _tranches(
            _chosen(variant(workspace, part), markets, part.called, 1.0),
            part.tranches or workspace.config.account.tranches,
        )
        for part in workspace.config.live.shadows
    }


def strategy_names(config: Config) -> tuple[str, ...]:
    """Give the names that a bot's strategies have in its journal, each tranche's its own."""
    names = [part.called for part in config.live.strategies] or [ALONE]
    count = config.account.tranches
    return tuple(tranche for name in names for tranche in _names(name, count))


def _tranches(one: LiveStrategy, count: int) -> tuple[LiveStrategy, ...]:
    """Split a strategy into tranches that take turns; with none it stays whole."""
    if not count:
        return (one,)
    share = one.share * (1 / count)
    return tuple(
        replace(one, name=name, share=share, tranche=number)
        for number, name in enumerate(_names(one.name, count), start=1)
    )


def _names(name: str, count: int) -> list[str]:
    return [f"{name}-{number + 1}" for number in range(count)] or [name]


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
