"""Networks of a bot: kept once for all of its symbols, and trained on over the bars of all of them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from itb.config.columns import columns
from itb.datafeeds.atomic import locked
from itb.errors import ConfigError, ModelError
from itb.indicators.feature_set import FeatureSet
from itb.mlmodels.deep.algorithm import DeepAlgorithm
from itb.mlmodels.deep.continued import continue_panel, kept_panel
from itb.mlmodels.deep.onnx import need_onnx
from itb.mlmodels.deep.row import PanelRow
from itb.mlmodels.files import sweep_drafts
from itb.runs.deep import is_deep, panel_walk
from itb.runs.model import walk_forward

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.config import Config
    from itb.config.columns import LearnedColumn
    from itb.market.bars import Bars
    from itb.mlmodels.deep.result import CoinResult


def networks_of(config: Config) -> tuple[LearnedColumn, ...]:
    """Give the columns that networks learn."""
    return tuple(column for column in columns(config) if is_deep(column))


def reach_of(config: Config) -> int:
    """How many earlier bars decide the score of any network; 0 without one."""
    return max((_part(column).warmup for column in networks_of(config)), default=0)


def refuse_silent_networks(config: Config) -> None:
    """Say what stands between the networks of a config and a bot; raise :class:`itb.errors.ConfigError`."""
    if not networks_of(config):
        return
    if config.live.runtime == "onnx":
        try:
            need_onnx()
        except ModelError as error:
            raise ConfigError(config.complaint(("live", "runtime"), str(error))) from None


def networks_home(home: Path) -> Path:
    """Name the folder of the networks beside that of a symbol's own models, one for all symbols."""
    return home.with_name(f"networks-{home.name.rpartition('-')[2]}")


def keep_network(walked: CoinResult, place: Path) -> None:
    """Copy what a network's walk-forward wrote, once for all symbols: all of it or nothing."""
    if place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, suffix=".draft") as draft:
        whole = Path(draft) / place.name
        shutil.copytree(walked.folder, whole, ignore=shutil.ignore_patterns("stages-*"))
        whole.rename(place)


def rows_read(config: Config, symbol: str, bar_columns: tuple[str, ...]) -> FeatureSet | None:
    """Give what the first network reads of a symbol, as features, where no model reads others; ``None`` otherwise."""
    networks = networks_of(config)
    if len(networks) < len(columns(config)):
        return None
    reading = _part(networks[0]).reading
    return FeatureSet((PanelRow(symbol, reading.columns or bar_columns, reading),))


def train_networks(
    config: Config, bars: Mapping[str, Bars], home: Path, wait_s: float
) -> Mapping[str, Mapping[str, CoinResult]]:
    """Fit what is due of every network in ``home``; give what each has come to: symbol -> column.

    Scores of bars so far are computed for those who learn from them, so that is not cheap.
    """
    walk = walk_forward(config)
    found: dict[str, dict[str, CoinResult]] = {symbol: {} for symbol in bars}
    home.mkdir(parents=True, exist_ok=True)
    with locked(home, timeout_s=wait_s), tempfile.TemporaryDirectory(dir=home, suffix=".draft") as mapped:
        sweep_drafts(home)
        for column in networks_of(config):
            place = home / "models" / column.name
            labels = {symbol: column.outcome(one) for symbol, one in bars.items()}
            walking = panel_walk(bars, column, labels, walk, Path(mapped))
            continue_panel(walking, place)
            for symbol, one in kept_panel(walking, place).apart(bars, column.label, labels).items():
                found[symbol][column.name] = one
    return found


def _part(column: LearnedColumn) -> DeepAlgorithm:
    assert isinstance(column.algorithm, DeepAlgorithm)
    return column.algorithm
