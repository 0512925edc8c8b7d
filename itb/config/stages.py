"""From a config's tables to what happens to scores after training; ``None`` where a stage is not asked for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from itb.config import parts
from itb.config.columns import columns
from itb.config.messages import unknown_name
from itb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from itb.config.model import Config
    from itb.mlmodels.labels import Label
    from itb.mlmodels.stages.abstention import Abstention
    from itb.mlmodels.stages.calibration import Calibration
    from itb.mlmodels.stages.flags import ThresholdFlags
    from itb.mlmodels.stages.intervals import ConformalIntervals
    from itb.mlmodels.stages.stack import Stack
    from itb.mlmodels.thresholds import ThresholdPolicy

OFF = "none"


def abstention(config: Config) -> Abstention | None:
    """Build ``[abstain]``; rows are drawn by the first model's seed."""
    from itb.mlmodels.stages.abstention import Abstention

    section = config.abstain
    return (
        Abstention(section.dissimilarity, section.most_rows, config.all_models[0].seed)
        if section.dissimilarity
        else None
    )


def calibration(config: Config) -> Calibration | None:
    """Build ``[calibration]``; raise :class:`itb.errors.ConfigError` where no model gives probabilities."""
    from itb.mlmodels.stages.calibration import Calibration

    method = config.calibration.method
    if method == "none":
        return None
    if not any(column.taught.is_classifier for column in columns(config)):
        message = "no model gives probabilities, and nothing else can be calibrated; leave it out"
        raise ConfigError(config.complaint(("calibration", "method"), message))
    return Calibration(method, config.calibration.min_rows)


def conformal(config: Config) -> ConformalIntervals | None:
    """Build ``[conformal]``; raise :class:`itb.errors.ConfigError` where no model estimates a number."""
    from itb.mlmodels.stages.intervals import ConformalIntervals

    section = config.conformal
    method = section.method
    if method == "none":
        return None
    if all(column.taught.is_classifier for column in columns(config)):
        message = "every model gives probabilities, and intervals are for numbers; leave it out, or use a regression"
        raise ConfigError(config.complaint(("conformal", "method"), message))

    make = partial(ConformalIntervals, method, section.coverage, section.rate, section.window, section.min_rows)
    return parts.tell(config, ("conformal",), make, list(type(section).model_fields))


def stack(config: Config) -> Stack | None:
    """Build ``[stack]``: its algorithm, and a walk-forward of its own that is otherwise as ``[walkforward]`` says."""
    from itb.mlmodels.algorithms import check_can_learn
    from itb.mlmodels.stages.stack import Stack
    from itb.mlmodels.walkforward import WalkForward

    section, timeframe = config.stack, config.data.timeframe
    if section.algorithm == OFF:
        return None
    algorithm: Any = parts.named(config, "stack", section, ("stack",))
    label = stack_label(config)

    def make() -> Stack:
        check_can_learn(algorithm, label.name, is_binary=label.is_binary)
        walk = WalkForward(
            mode="expanding",
            train_bars=section.train.bars(timeframe),
            refit_every=section.refit_every.bars(timeframe),
            embargo_bars=config.walkforward.embargo_bars,
            refit_delay_bars=config.walkforward.refit_delay_bars,
            min_train_rows=section.min_train_rows,
            promotion=parts.promotion(config),
        )
        return Stack(algorithm, walk)

    stack_inputs(config)
    return parts.tell(config, ("stack",), make)


def stack_label(config: Config) -> Label:
    """Give the label that the stack learns."""
    labels = {label.name: label for label in parts.labels(config)}
    name = config.stack.label
    if name and name not in labels:
        raise ConfigError(config.complaint(("stack", "label"), unknown_name("label", name, labels)))
    return labels[name] if name else next(iter(labels.values()))


def stack_inputs(config: Config) -> tuple[str, ...]:
    """Give the columns that the stack learns from: learned columns only, as they are after calibration."""
    known = [column.name for column in columns(config)]
    for place, name in enumerate(config.stack.inputs):
        if name not in known:
            raise ConfigError(config.complaint(("stack", "inputs", place), unknown_name("learned column", name, known)))
        if name in config.stack.inputs[:place]:
            raise ConfigError(config.complaint(("stack", "inputs", place), f'"{name}" is there twice'))
    return config.stack.inputs or tuple(known)


def thresholds(config: Config) -> ThresholdFlags | None:
    """Build ``[thresholds]``."""
    from itb.mlmodels.stages.flags import ThresholdFlags

    section, timeframe = config.thresholds, config.data.timeframe
    if section.policy == OFF:
        return None
    policy = parts.named(config, "thresholds", section, ("thresholds",))
    lookback = 0 if section.lookback is None else section.lookback.bars(timeframe)
    return ThresholdFlags(policy, section.refit_every.bars(timeframe), lookback)


def shadows(config: Config) -> Mapping[str, ThresholdPolicy]:
    """Build ``[[shadows]]`` by name; none configured: every policy that can do without keys."""
    from itb.market.costs import BPS
    from itb.mlmodels.thresholds import GaussianRatio, MeanGap, RollingQuantile, Sweep

    if not config.shadows:
        sweep = Sweep(cost=2 * config.costs.one_way_bps * BPS)
        return {
            "sweep": sweep,
            "rolling_quantile": RollingQuantile(),
            "mean_gap": MeanGap(),
            "gaussian_ratio": GaussianRatio(),
        }
    found: dict[str, ThresholdPolicy] = {}
    for number, part in enumerate(config.shadows):
        name = part.name or part.policy
        if name in found:
            message = f'"{name}" is there twice; give one of them a "name" of its own'
            raise ConfigError(config.complaint(("shadows", number), message))
        found[name] = parts.named(config, "shadows", part, ("shadows", number))
    return found


def thresholds_column(config: Config, known: Collection[str]) -> str:
    """Give the column that thresholds are chosen for; ``known`` are those there will be."""
    name = config.thresholds.column
    learned = [column.name for column in columns(config)]
    if not name:
        stacked = [f"{stack_label(config).name}_stack"] if config.stack.algorithm != OFF else learned
        if len(stacked) > 1:
            message = f"is empty, and there are {len(stacked)} score columns; name one of {', '.join(stacked)}"
            raise ConfigError(config.complaint(("thresholds", "column"), message))
        name = stacked[0]
    if name not in known:
        raise ConfigError(config.complaint(("thresholds", "column"), unknown_name("score column", name, known)))
    return name


def thresholds_horizon(config: Config) -> int:
    """Give how many bars ahead the returns lie that thresholds are chosen by."""
    return config.thresholds.horizon or parts.labels(config)[0].horizon
