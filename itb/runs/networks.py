"""Networks in commands that teach, predict and evaluate symbol by symbol: once for all, then each one's share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from itb.config.columns import columns
from itb.config.dump import config_hash
from itb.errors import ConfigError
from itb.mlmodels.deep.models import DEEP
from itb.mlmodels.deep.panel import Panel
from itb.runs.deep import is_deep, markets_of, panel_walk
from itb.runs.model import walk_forward

if TYPE_CHECKING:
    from itb.config.columns import LearnedColumn
    from itb.market.bars import Bars, FloatArray
    from itb.mlmodels.deep.crossfit import PanelCross
    from itb.mlmodels.deep.once import LatestNetwork
    from itb.mlmodels.deep.walk import PanelWalk
    from itb.mlmodels.speakers import Speaker, Spoken
    from itb.runs.market import Market
    from itb.runs.workspace import Workspace

Made = TypeVar("Made")


def are_networks(speakers: Sequence[Speaker]) -> bool:
    """Whether the models of a column read the bars of several symbols at once."""
    return any(speaker.manifest.algorithm in DEEP for speaker in speakers)


def latest_networks(workspace: Workspace, market: Market) -> Mapping[str, LatestNetwork]:
    """Fit every network of the config at the last bar, once for a command: score column -> network."""
    return _once(workspace, "latest", lambda: _latest(workspace, market))


def _latest(workspace: Workspace, market: Market) -> Mapping[str, LatestNetwork]:
    from itb.mlmodels.deep.once import fit_latest_network

    found = {}
    for column in filter(is_deep, columns(workspace.config)):

        def heard(done: int, epochs: int, name: str = column.name) -> None:
            workspace.report(done, epochs, f"training {name}")

        walk = _walk(workspace, market, column)
        draft = workspace.cache / "networks" / f"{walk.fingerprint[:24]}.training"
        found[column.name] = fit_latest_network(walk, draft, heard)
        draft.unlink(missing_ok=True)
    return found


def crossed_network(
    workspace: Workspace, market: Market, column: LearnedColumn, fit: Callable[[PanelWalk], PanelCross]
) -> tuple[PanelCross, tuple[FloatArray, ...]]:
    """Fit and score a network over splits, once for a command; give that and this symbol's scores by path."""
    found = _once(workspace, f"crossed {column.name}", lambda: fit(_walk(workspace, market, column)))
    rows, coin = found.panel.place(market.bars.open_time), found.panel.symbols.index(market.bars.symbol)
    return found, tuple(path[rows, coin] for path in found.scores)


def spoken_networks(
    workspace: Workspace, market: Market, speakers: Sequence[Speaker], *, in_sample: bool, start: int
) -> Spoken:
    """Let networks score one symbol's bars, by the bars of all symbols that they have learned from.

    A pass over the same times gives the scores of all symbols: it is kept for them. Raises
    :class:`itb.errors.ConfigError` where bars of a symbol are not configured, :class:`itb.errors.ModelError` where they
    have other columns.
    """
    from itb.mlmodels.deep.model import load_panel_model
    from itb.mlmodels.registry import check_features, check_model
    from itb.mlmodels.speakers import spoken_by

    bars = bars_beside(workspace, market)
    times = market.bars.open_time

    def scores_of(speaker: Speaker, first: int, stop: int) -> FloatArray:
        manifest, content = check_model(speaker.path)
        model = load_panel_model(content, DEEP)
        absent = [symbol for symbol in model.symbols if symbol not in bars]
        if absent:
            told = f"{speaker.path}: its network also reads {', '.join(absent)}: name every symbol that it learned from"
            raise ConfigError(workspace.config.complaint(("data", "symbols"), told))
        read = {symbol: bars[symbol] for symbol in model.symbols}
        reading = model.part.reading
        panel = _once(workspace, f"panel {model.symbols} {reading}", lambda: Panel.of(read, reading))
        check_features(manifest, panel.channels)
        places = panel.place(times[first:stop])
        rows = range(int(places[0]), int(places[-1]) + 1)
        key = ("networks", str(speaker.path), panel.fingerprint, rows)
        if key not in workspace.memo:
            workspace.memo[key] = model.scores(panel, rows)
        scores: FloatArray = workspace.memo[key][places - rows.start, model.symbols.index(market.bars.symbol)]
        return scores

    return spoken_by(speakers, scores_of, times, in_sample=in_sample, start=start)


def bars_beside(workspace: Workspace, market: Market) -> Mapping[str, Bars]:
    """Give the bars of all configured symbols, loaded once for a command."""
    markets = _once(workspace, "markets", lambda: markets_of(workspace, market))
    return {symbol: one.bars for symbol, one in markets.items()}


def _walk(workspace: Workspace, market: Market, column: LearnedColumn) -> PanelWalk:
    bars = bars_beside(workspace, market)
    labels = {symbol: column.outcome(one) for symbol, one in bars.items()}
    return panel_walk(bars, column, labels, walk_forward(workspace.config), workspace.cache / "panels")


def _once(workspace: Workspace, what: str, make: Callable[[], Made]) -> Made:
    key = ("networks", what, config_hash(workspace.config), workspace.window, workspace.include_holdout)
    if key not in workspace.memo:
        workspace.memo[key] = make()
    found: Made = workspace.memo[key]
    return found
