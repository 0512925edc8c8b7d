"""Training on while a bot runs: the walk-forward goes on over its bars, in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.config import stages as configured
from itb.config.columns import columns
from itb.datafeeds.atomic import locked
from itb.errors import BarsError, ConfigError, ItbError
from itb.live.bars.kept import read_kept
from itb.live.run.drifting import Ground
from itb.market.bars import Bars
from itb.market.gaps import treat
from itb.mlmodels.continued import continue_walk, kept_result
from itb.mlmodels.deep.result import CoinResult
from itb.mlmodels.files import sweep_drafts, write_whole
from itb.mlmodels.stages.column import ScoreColumn
from itb.runs.live_following import followed, keep_tapes
from itb.runs.live_panels import networks_home, networks_of, train_networks
from itb.runs.model import score_ranges, walk_forward
from itb.runs.sources import join_sources
from itb.runs.training_tables import training_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from itb.config import Config
    from itb.mlmodels.result import WalkForwardResult
    from itb.runs.workspace import Workspace

BARS_FILE, GROUND_FILE = "bars", "ground.json"
_CHILD = "from itb.runs.live_training import main; import sys; main(sys.argv[1])"
_NICE = 10
_WAIT_S = 3600.0


def refuse_unlearned(config: Config) -> None:
    """Say which parts of a config cannot be trained on while a bot runs."""
    if config.training.pooled and len(config.data.symbols) > 1:
        told = "is not trained again while a bot runs: set live.retrain = false, and start it anew for newer models"
        raise ConfigError(config.complaint(("training", "pooled"), told))


def bars_so_far(workspace: Workspace, home: Path, stored: Bars | None) -> Bars:
    """Put the bars that a bot was given behind the stored ones before them; gaps are treated as in every run.

    The store may have been filled or repaired since: what the bot was given counts.
    """
    kept = read_kept(home / BARS_FILE)
    if kept is None or not len(kept):
        if stored is None:
            raise BarsError(f"{home}: there are no bars to train on; run `itb data download`")
        return treat(stored, workspace.config.data.gaps)
    before = None if stored is None else stored.between(None, int(kept.open_time[0]))
    return treat(kept if before is None or not len(before) else _joined(before, kept), workspace.config.data.gaps)


def _joined(before: Bars, after: Bars) -> Bars:
    if list(before.columns) != list(after.columns):
        raise BarsError(
            f"{after.label}: the stored bars have the columns {', '.join(before.columns)}, the bot was given "
            f"{', '.join(after.columns)}; expected the same"
        )
    values = {name: np.concatenate((before[name], after[name])) for name in after.columns}
    return Bars(after.symbol, after.timeframe, np.concatenate((before.open_time, after.open_time)), values)


def train_on(workspace: Workspace, homes: Mapping[str, Path]) -> None:
    """Fit what is due, in the folders that each symbol's models were kept in."""
    from itb.runs.live_parts import stored_bars

    stored = stored_bars(workspace)
    networks = _networks(workspace, homes, stored)
    for symbol, home in homes.items():
        with locked(home, timeout_s=_WAIT_S):  # a child may have outlived its bot
            sweep_drafts(home)
            bars, _ = join_sources(workspace, bars_so_far(workspace, home, stored[symbol]))
            _train_symbol(workspace.config, bars, home, networks.get(symbol, {}))


def _networks(
    workspace: Workspace, homes: Mapping[str, Path], stored: Mapping[str, Bars | None]
) -> Mapping[str, Mapping[str, WalkForwardResult]]:
    """Let networks learn on over the bars of all symbols; give what they have come to: symbol -> column."""
    if not networks_of(workspace.config):
        return {}
    bars = {symbol: bars_so_far(workspace, home, stored[symbol]) for symbol, home in homes.items()}
    return train_networks(workspace.config, bars, networks_home(next(iter(homes.values()))), _WAIT_S)


def _train_symbol(config: Config, bars: Bars, home: Path, networks: Mapping[str, WalkForwardResult]) -> None:
    walk, learned = walk_forward(config), columns(config)
    stacked = configured.stack(config)
    by_rows = [column for column in learned if column.name not in networks]
    tables = zip(by_rows, training_tables(config, bars, by_rows) if by_rows else (), strict=True)
    results = dict(networks)
    for column, table in tables:
        place = home / "models" / column.name
        continue_walk(walk, table, column.algorithm, place, seed=column.seed)
        results[column.name] = kept_result(walk, table, column.algorithm, place, seed=column.seed)
    found = {column.name: _refined(config, results[column.name], home / "stages" / column.name) for column in learned}
    keep_ground([results[column.name] for column in learned], home)
    wanted = followed(config, score_ranges(config))
    if stacked is not None:
        label = configured.stack_label(config)
        inputs = [found[name] for name in configured.stack_inputs(config)]
        target = next(one for one in found.values() if one.label_name == label.name)
        table = stacked.table(inputs, target, bars.timeframe, is_binary=label.is_binary)
        place, seed = home / "models" / f"{label.name}_stack", config.stack.seed
        continue_walk(stacked.walk, table, stacked.algorithm, place, seed=seed)
        if place.name in wanted:
            walked = kept_result(stacked.walk, table, stacked.algorithm, place, seed=seed)
            found[place.name] = ScoreColumn.of(walked)
    keep_tapes((column for name, column in found.items() if name in wanted), home)


def keep_ground(walked: Sequence[WalkForwardResult], home: Path) -> None:
    """Write where the features lay that the newest model of the first column by features learned from.

    Of networks alone it is what the first of them read of the home's own symbol.
    """
    one = next((result for result in walked if not isinstance(result, CoinResult)), walked[0])
    names = one.own_channels if isinstance(one, CoinResult) else one.table.feature_names
    spoke = [fold for fold in one.folds if fold.entry.promoted]
    if spoke:
        places = [one.table.feature_names.index(name) for name in names]
        rows = one.table.features[spoke[-1].learned_rows]
        Ground.of(names, rows if len(places) == rows.shape[1] else rows[:, places]).save(home / GROUND_FILE)


def _refined(config: Config, walked: WalkForwardResult, folder: Path) -> ScoreColumn:
    """Let the stages of a column learn on; give its scores after them."""
    frame, last = walked.table.timeframe.ms, int(walked.table.open_time[-1])
    later = tuple(last + (ahead + 1) * frame for ahead in range(config.walkforward.refit_delay_bars))
    column = replace(ScoreColumn.of(walked, config.walkforward.embargo_bars), later=later)
    abstention, calibration = configured.abstention(config), configured.calibration(config)
    if abstention is not None:
        column, _ = abstention.keep(walked, column, folder)
    if calibration is not None and column.is_probability:
        column, _ = calibration.keep(column, folder)
    return column


def child_command(workspace: Workspace, homes: Mapping[str, Path], folder: Path) -> tuple[str, ...]:
    """Write what is to be done into ``folder``; give the command of the process that does it."""
    config = workspace.config
    job = {
        "config": config.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True),
        "folder": str(config.folder.resolve()),
        "homes": {symbol: str(home.resolve()) for symbol, home in homes.items()},
    }
    path = folder / "training.json"
    write_whole(path, json.dumps(job).encode())
    return sys.executable, "-c", _CHILD, str(path.resolve())


def main(job_file: str) -> None:
    """Do what a job file says; the child's main function. Its last line of standard error says what went wrong."""
    from itb.config import Config
    from itb.runs.workspace import Workspace

    os.nice(_NICE)
    job: dict[str, Any] = json.loads(Path(job_file).read_text())
    config = Config.model_validate(job["config"]).of(None, Path(job["folder"]), {})
    data = config.data.model_copy(update={"stop": None})
    config = config.model_copy(update={"data": data}).of(None, Path(job["folder"]), {})
    try:
        train_on(Workspace(config), {symbol: Path(home) for symbol, home in job["homes"].items()})
    except ItbError as error:
        sys.exit(str(error))
