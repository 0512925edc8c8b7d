"""Which score columns a config has learned: every label by every model, unless a model names its labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from itb.config import parts
from itb.config.messages import unknown_name
from itb.errors import ConfigError

if TYPE_CHECKING:
    from itb.config.messages import Location
    from itb.config.model import Config
    from itb.market.bars import Bars
    from itb.mlmodels.algorithm import Algorithm
    from itb.mlmodels.labels import Label, LabelColumn


@dataclass(frozen=True)
class LearnedColumn:
    """One score column: what is learned, by what, and the seed of everything random in training."""

    name: str
    label: Label
    algorithm: Algorithm
    seed: int

    @property
    def taught(self) -> Algorithm:
        """The algorithm as this label is learned by it: by classes, where the label has more than two."""
        from itb.mlmodels.by_class import for_label
        from itb.mlmodels.labels.trade_classes import has_trade_classes

        return for_label(self.algorithm, has_classes=has_trade_classes(self.label))

    @property
    def score_ranges(self) -> dict[str, tuple[float, float]]:
        """The column, and one for each class that is learned beside the others, with the lowest and highest score."""
        from itb.mlmodels.by_class import CLASS_NAMES

        taught = self.taught
        by_class = () if taught == self.algorithm else CLASS_NAMES
        return {self.name: taught.score_range, **{f"{self.name}_{name}": (0.0, 1.0) for name in by_class}}

    def outcome(self, bars: Bars) -> LabelColumn:
        """Compute what scores are held against: the label, with 1, 0, -1 for buy, hold, sell."""
        from itb.mlmodels.labels.trade_classes import learned_column

        return learned_column(self.label, bars)


def columns(config: Config) -> tuple[LearnedColumn, ...]:
    """Give the score columns, label by label in the order of the config.

    Raises :class:`itb.errors.ConfigError` when two labels or two columns have one name, when a model names a label that
    there is not, is left without any, or cannot learn what it is to learn.

    >>> from itb.config import load_config
    >>> two = ["label.alias=up", 'models=[{algorithm = "logistic"}, {algorithm = "logistic", c = 9.0, name = "loose"}]']
    >>> [column.name for column in columns(load_config(overrides=two, environ={}))]
    ['up_logistic', 'up_loose']
    """
    labels, algorithms = distinct_labels(config), parts.algorithms(config)
    names = [label.name for label in labels]
    complaints = [*_strangers(config, names), *_misfits(config, labels, algorithms)]
    if complaints:
        raise ConfigError("\n".join(complaints))
    made = [
        (number, LearnedColumn(f"{label.name}_{model.name or algorithm.name}", label, algorithm, model.seed))
        for label in labels
        for number, (model, algorithm) in enumerate(zip(config.all_models, algorithms, strict=True))
        if model.labels is None or label.name in model.labels
    ]
    _refuse_same_columns(config, made)
    return tuple(column for _, column in made)


def distinct_labels(config: Config) -> tuple[Label, ...]:
    """Build the labels; raise :class:`itb.errors.ConfigError` when two of them have one name."""
    labels = parts.labels(config)
    names = [label.name for label in labels]
    for number, name in enumerate(names):
        if name in names[:number]:
            told = f'"{name}" is there twice; each label needs a name of its own; give one of them an "alias"'
            raise ConfigError(config.complaint(config.place("label", number), told))
    return labels


def _strangers(config: Config, names: Sequence[str]) -> Iterator[str]:
    for number, model in enumerate(config.all_models):
        for name in model.labels or ():
            if name not in names:
                yield config.complaint((*config.place("model", number), "labels"), unknown_name("label", name, names))


def _misfits(config: Config, labels: Sequence[Label], algorithms: Sequence[Algorithm]) -> Iterator[str]:
    from itb.mlmodels.algorithms import check_can_learn
    from itb.mlmodels.labels.trade_classes import has_trade_classes

    for number, (model, algorithm) in enumerate(zip(config.all_models, algorithms, strict=True)):
        at: Location = (*config.place("model", number), "algorithm")
        for label in labels:
            if model.labels is not None and label.name not in model.labels:
                continue
            try:
                has_classes = has_trade_classes(label)
                check_can_learn(algorithm, label.name, is_binary=label.is_binary, has_classes=has_classes)
            except ValueError as error:
                yield config.complaint(at, str(error))


def _refuse_same_columns(config: Config, made: Sequence[tuple[int, LearnedColumn]]) -> None:
    seen: dict[str, int] = {}
    for number, column in made:
        if column.name in seen:
            message = (
                f'it makes the score column "{column.name}", and so does another; give one of the models a "name", or '
                f'one of the labels another "alias"'
            )
            raise ConfigError(config.complaint(config.place("model", number), message))
        seen[column.name] = number
