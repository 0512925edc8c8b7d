"""The models that a bot speaks with: trained by the walk-forward of every other command, kept in the bot's folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from itb.config import parts
from itb.config import stages as configured
from itb.config.columns import columns
from itb.errors import ConfigError, ModelError
from itb.live.scores.desk import Derived
from itb.live.scores.speaking import ColumnFiles
from itb.market.bars import utc
from itb.mlmodels.deep.result import CoinResult
from itb.mlmodels.files import write_whole
from itb.runs.capsule import series_of
from itb.runs.deep import is_deep
from itb.runs.live_following import Following, followed, keep_tapes, read_following
from itb.runs.live_panels import keep_network, networks_home, reach_of, refuse_silent_networks, rows_read
from itb.runs.live_training import keep_ground
from itb.runs.live_words import command
from itb.runs.market import load_market
from itb.runs.model import score_columns
from itb.runs.refine import score_column, stages_folder
from itb.runs.signals import checked_signals, signal_columns

if TYPE_CHECKING:
    from pathlib import Path

    from itb.config import Config
    from itb.indicators.feature_set import FeatureSet
    from itb.live.scores.panel import Runtime
    from itb.market.bars import FloatArray
    from itb.runs.scored import ScoredMarket
    from itb.runs.workspace import Workspace

_MODEL_SIDE = (
    "data", "synthetic", "sources", "features", "label", "labels", "model", "models", "walkforward", "training",
    "abstain", "calibration", "conformal", "stack", "thresholds",
)  # fmt: skip


@dataclass(frozen=True)
class LiveModels:
    """What the scores of one symbol are made from: features, the files of each learned column, what is made of them.

    ``following`` are intervals and flags, ``derived`` signals. ``home`` is the folder of all of its files, but for
    networks, which lie beside it, once for all symbols. ``reach`` is how many earlier bars decide a score, ``runtime``
    what networks are computed by.
    """

    features: FeatureSet
    columns: tuple[ColumnFiles, ...]
    following: Following
    derived: tuple[Derived, ...]
    home: Path
    reach: int = 0
    runtime: Runtime = "torch"


def model_side(config: Config) -> str:
    """Sha256 of everything in the config that a score depends on; what is traded with it may change."""
    plain = config.plain()
    told = {name: plain[name] for name in _MODEL_SIDE if name in plain}
    told["data"] = {name: plain["data"].get(name) for name in ("exchange", "symbols", "timeframe", "gaps", "file")}
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def live_models(workspace: Workspace, symbol: str, until_ms: int | None, folder: Path) -> LiveModels:
    """Take the models of an earlier life from ``folder``, or train on the stored bars before ``until_ms``.

    Nothing that a strategy earns is shown, so training may see the hold-out, and enters no look. Raises
    :class:`itb.errors.ModelError` when no model could be trained.
    """
    config = workspace.config
    refuse_unspoken(config)
    home = models_home(config, symbol, folder)
    if not (home / "columns.json").exists():
        home.mkdir(parents=True, exist_ok=True)
        _keep(_train(workspace, symbol, until_ms), config, home)
    return _read(config, symbol, home)


def models_home(config: Config, symbol: str, folder: Path) -> Path:
    """Name the folder of what was trained for one symbol by such a config."""
    return folder / f"{series_of(symbol)}-{model_side(config)[:12]}"


def kept_models(config: Config, symbol: str, folder: Path) -> LiveModels | None:
    """Give the models that a bot took along, ``None`` where it has none by such a config."""
    home = models_home(config, symbol, folder)
    return _read(config, symbol, home) if (home / "columns.json").exists() else None


def models_of(scored: ScoredMarket, config: Config, home: Path) -> LiveModels:
    """Copy what a walk-forward trained into ``home``, and give it as a bot speaks with it."""
    refuse_unspoken(config)
    home.mkdir(parents=True, exist_ok=True)
    _keep(scored, config, home)
    return _read(config, scored.market.bars.symbol, home)


def _read(config: Config, symbol: str, home: Path) -> LiveModels:
    kept = json.loads((home / "columns.json").read_text())
    expires = config.live.model_expires.ms
    files = tuple(
        ColumnFiles(
            models=home / one["models"],
            stages=home / one["stages"] if one["stages"] else None,
            inputs=tuple(one["inputs"]),
            algorithm=None,
            expires_after_ms=expires,
            coin=symbol,
            coins=tuple(one["coins"]),
        )
        for one in kept["columns"]
    )
    names = tuple(kept["bar_columns"])
    features = rows_read(config, symbol, names) or parts.feature_set(config, names)
    return LiveModels(
        features,
        _taught(config, files, kept),
        read_following(config, kept["ranges"], home),
        _signals(config, kept["ranges"]),
        home,
        max(features.warmup, reach_of(config)),
        config.live.runtime,
    )


def _train(workspace: Workspace, symbol: str, until_ms: int | None) -> ScoredMarket:
    window = None if until_ms is None else (0, until_ms)
    data = workspace.config.data.model_copy(update={"stop": None})
    config = workspace.config.changed(data=data)
    seen = replace(workspace, config=config, window=window, judges_nothing=True)
    market = load_market(seen, symbol, run_id="live", command="live")
    scored = score_columns(seen, market)
    for walked in scored.walked:
        if not any(entry.promoted for entry in walked.timeline.entries):
            last = utc(market.bars.close_time[-1])
            raise ModelError(
                f"{walked.column}: no model could be trained on {market.bars.label} until {last}; "
                f"`{command(workspace.config, 'walkforward')}` says what each refit lacks"
            )
    return scored


def _keep(scored: ScoredMarket, config: Config, home: Path) -> None:
    """Copy timelines, models and stages, so that what speaks is the bot's own and can be continued."""
    told = []
    stacked = configured.stack(config)
    for walked in scored.walked:
        stages = stages_folder(config, scored.market, walked)
        models, coins = f"models/{walked.column}", list[str]()
        if isinstance(walked, CoinResult):
            networks = networks_home(home)
            models, coins = f"../{networks.name}/{models}", [scored.market.bars.symbol, *_symbols(scored)]
            keep_network(walked, networks / "models" / walked.column)
        else:
            shutil.rmtree(home / models, ignore_errors=True)
            shutil.copytree(walked.folder, home / models, ignore=shutil.ignore_patterns("stages-*", "folds"))
        has_stages = stages.is_dir()
        if has_stages:
            shutil.rmtree(home / f"stages/{walked.column}", ignore_errors=True)
            shutil.copytree(stages, home / f"stages/{walked.column}")
        is_stack = stacked is not None and walked is scored.walked[-1]
        told.append(
            {
                "column": walked.column,
                "models": models,
                "stages": f"stages/{walked.column}" if has_stages else "",
                "inputs": list(configured.stack_inputs(config)) if is_stack else [],
                "coins": sorted(coins),
            }
        )
    facts = {
        "columns": told,
        "bar_columns": list(scored.market.bars.columns),
        "ranges": {name: _finite(source.low, source.high) for name, source in scored.scores.items()},
        "trained_until": int(scored.market.bars.close_time[-1]),
    }
    wanted = followed(config, scored.scores)
    keep_tapes([score_column(config, scored, walked) for walked in scored.walked if walked.column in wanted], home)
    keep_ground(scored.walked, home)
    write_whole(home / "columns.json", json.dumps(facts, indent=1).encode())


def _symbols(scored: ScoredMarket) -> list[str]:
    return [other.bars.symbol for other in scored.others]


def _finite(low: float, high: float) -> list[float | None]:
    return [low if np.isfinite(low) else None, high if np.isfinite(high) else None]


def _taught(
    config: Config, files: tuple[ColumnFiles, ...], kept: Mapping[str, list[Mapping[str, str]]]
) -> tuple[ColumnFiles, ...]:
    learned = {column.name: column for column in columns(config)}
    stacked = configured.stack(config)
    found = []
    for one, told in zip(files, kept["columns"], strict=True):
        column = learned.get(told["column"])
        if column is None:  # the stack: no stage touches it, and it learns no classes
            found.append(replace(one, algorithm=None if stacked is None else stacked.algorithm))
            continue
        is_calibrated = configured.calibration(config) is not None and column.taught.is_classifier
        has_raw = configured.abstention(config) is not None or is_calibrated
        has_classes = len(column.score_ranges) > 1
        found.append(replace(one, algorithm=column.taught, has_raw=has_raw, has_classes=has_classes))
    return tuple(found)


def _signals(config: Config, ranges: Mapping[str, list[float | None]]) -> tuple[Derived, ...]:
    if not config.signals:
        return ()
    made = parts.signal_set(config).names
    known = {
        name: (-np.inf if low is None else low, np.inf if high is None else high)
        for name, (low, high) in ranges.items()
        if name not in made
    }
    signals = checked_signals(config, known)
    own = signals.ranges(known)

    def compute(found: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        return signal_columns(signals, found)

    names = tuple(signals.names)
    return (Derived(names, tuple(signals.inputs), signals.warmup, tuple(own[name] for name in names), compute),)


def refuse_unspoken(config: Config) -> None:
    """Say which parts of a config have no live side."""
    refuse_silent_networks(config)
    if config.sources and any(is_deep(column) for column in columns(config)):
        told = "are not read by networks while a bot runs: leave them out, or trade by models of features"
        raise ConfigError(config.complaint(("sources",), told))
