"""Look at a whole config: build every part once, and see whether they fit each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from itb.config import stages
from itb.config.columns import columns
from itb.config.model import Config
from itb.config.parts import (
    algorithms,
    chosen,
    feature_set,
    labels,
    promotion,
    protections,
    signal_set,
    strategy_settings,
    synthetic_market,
    training,
)
from itb.config.told import outputs, ways
from itb.config.universe import universe
from itb.errors import ConfigError


def check(config: Config) -> None:
    """Build every part once and throw it away; raise with one line for each thing that is wrong.

    Also looks at what must fit together, such as that each algorithm can learn its labels. A strategy named by module
    or file is not imported: its keys are checked when it is.
    """
    check_parts(config)
    _build(_matches(config))


def check_parts(config: Config) -> None:
    """Build every part as :func:`check` does, without asking whether they fit: what is computed without a model."""
    _build(_parts(config))


def _build(builds: Iterator[Callable[[], object]]) -> None:
    complaints: list[str] = []
    for build in builds:
        try:
            build()
        except ConfigError as error:
            complaints.append(str(error))
    if complaints:
        raise ConfigError("\n".join(complaints))


def _parts(config: Config) -> Iterator[Callable[[], object]]:
    yield lambda: feature_set(config)
    yield lambda: labels(config)
    yield lambda: algorithms(config)
    yield lambda: promotion(config)
    yield lambda: signal_set(config)
    yield lambda: training(config)
    yield lambda: universe(config)
    yield lambda: protections(config)
    yield lambda: outputs(config)
    yield lambda: ways(config)
    if config.data.is_synthetic:
        yield lambda: synthetic_market(config)
    if ":" not in config.strategy.name:
        yield lambda: strategy_settings(config, chosen(config, "strategy", config.strategy, ("strategy",)))


def _matches(config: Config) -> Iterator[Callable[[], object]]:
    yield lambda: columns(config)
    yield lambda: _balance(config)
    for stage in (
        stages.abstention,
        stages.calibration,
        stages.conformal,
        stages.stack,
        stages.thresholds,
        stages.shadows,
    ):
        yield partial(stage, config)


def _balance(config: Config) -> None:
    """Refuse to even out the classes of labels that have none: every number would be a class of its own."""
    from itb.mlmodels.labels.trade_classes import has_trade_classes

    section = config.training
    where = "class_balance" if section.class_balance != "none" else "weights"
    if where == "weights" and "class_balance" not in section.weights:
        return
    for column in columns(config):
        if not column.label.is_binary and not has_trade_classes(column.label):
            message = f"{column.label.name} is a number and has no classes to balance; leave it out, or the label"
            raise ConfigError(config.complaint(("training", where), message))
