"""From `[search.space]` to the space that is searched, and from a point of it back to a config."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from itb.config import parts
from itb.config.check import check
from itb.config.load import with_values
from itb.config.messages import unknown_key, unknown_name
from itb.errors import ConfigError
from itb.optimize.space import GRID_POINTS, Choice, Condition, Dimension, FloatRange, IntRange, Space

if TYPE_CHECKING:
    from itb.config import Config
    from itb.optimize.space import Value, Values
    from itb.runs.scored import ScoreRanges

_KEYS = ("low", "high", "step", "log", "points", "choices", "when")
_FIXED = ("data", "sources", "instrument", "costs", "backtest", "runs", "plugins", "search", "synthetic")
_TRADE = "strategy."
_PACKED = "json:"


def search_space(config: Config, ranges: ScoreRanges) -> Space:
    """Read the configured space, or take the default one; every corner of it is tried as a config first.

    Raises :class:`ConfigError` that names the key where a dimension cannot be.
    """
    given = dict(_flat(config.search.space)) or default_space(config, ranges)
    dimensions = [_dimension(config, name, told) for name, told in given.items()]
    trade = tuple(dimension for dimension in dimensions if dimension.name.startswith(_TRADE))
    model = tuple(dimension for dimension in dimensions if not dimension.name.startswith(_TRADE))
    try:
        space = Space(model, trade)
    except ValueError as error:
        raise ConfigError(config.complaint(("search", "space"), str(error))) from None
    for dimension in dimensions:
        _try(config, space, dimension)
        if dimension.name == "strategy.score" and isinstance(dimension, Choice):
            strange = [str(score) for score in dimension.choices if score not in ranges]
            if strange and config.strategy.name == "MLThreshold":
                raise ConfigError(
                    config.complaint(("search", "space", dimension.name), unknown_name("score", strange[0], ranges))
                )
    return space


def _try(config: Config, space: Space, dimension: Dimension) -> None:
    """Build a config with each end of a dimension (each of its choices), where its condition holds."""
    for changed in cornered(config, space, dimension):
        if not dimension.name.startswith(_TRADE):
            check(changed)
        elif ":" not in config.strategy.name:
            strategy = parts.chosen(changed, "strategy", changed.strategy, ("strategy",))
            known = [parameter.name for parameter in parts.parameters("strategy", strategy)]
            key = dimension.name.removeprefix(_TRADE)
            if key not in known:
                raise ConfigError(config.complaint(("search", "space", dimension.name), unknown_key(key, known)))


def cornered(config: Config, space: Space, dimension: Dimension) -> Iterator[Config]:
    """Give a config for each end of a dimension (each of its choices), where its condition holds."""
    values = dimension.choices if isinstance(dimension, Choice) else (dimension.at(0.0), dimension.at(1.0))
    for value in values:
        yield applied(config, space.standing(dimension, value))


def default_space(config: Config, ranges: ScoreRanges) -> dict[str, dict[str, Any]]:
    """Give what varies where the config names nothing: the trees, the training window, thresholds, stop and target."""
    space: dict[str, dict[str, Any]] = {}
    if config.all_models[0].algorithm.startswith("lightgbm"):
        model = "models.0" if config.models else "model"
        space[f"{model}.learning_rate"] = {"low": 0.01, "high": 0.1, "log": True}
        space[f"{model}.num_leaves"] = {"low": 4, "high": 48, "log": True}
        space[f"{model}.min_data_in_leaf"] = {"low": 50, "high": 400, "log": True}
    bars = config.walkforward.train.bars(config.data.timeframe)
    space["walkforward.train"] = {"choices": [bars // 2, bars]}
    if config.strategy.name == "MLThreshold":
        column = str(config.strategy.settings.get("score", "")) or next(iter(ranges))
        low, high = ranges[column]
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ConfigError(
                config.complaint(
                    ("search", "space"),
                    f"the score {column} has no bounds, so there is no default for its thresholds; name "
                    "strategy.buy_threshold and strategy.sell_threshold, each with low and high",
                )
            )
        middle, reach = (low + high) / 2, (high - low) / 2
        space["strategy.buy_threshold"] = {"low": middle, "high": middle + 0.3 * reach}
        space["strategy.sell_threshold"] = {"low": middle - 0.3 * reach, "high": middle - 0.02 * reach}
        space["strategy.stop_loss"] = {"low": 0.0, "high": 0.06, "step": 0.01}
        space["strategy.take_profit"] = {"low": 0.0, "high": 0.12, "step": 0.02}
    return space


def applied(config: Config, values: Values) -> Config:
    """Put a point of the space over a config; ``strategy`` keys of a space reach the strategy's own settings."""
    return with_values(config, {name: unpacked(value) for name, value in values.items()}, "search.space")


def unpacked(value: Value) -> Any:
    """Give a value as the config knows it: lists and tables travel through a search as text."""
    if isinstance(value, str) and value.startswith(_PACKED):
        return json.loads(value.removeprefix(_PACKED))
    return value


def _packed(value: Any) -> Value:
    if isinstance(value, str | bool | int | float):
        return value
    return _PACKED + json.dumps(value, sort_keys=True, default=str)


def _flat(tables: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Walk nested tables (``[search.space.strategy]``) and dotted names (``"strategy.buy_threshold"``) alike."""
    for key, item in tables.items():
        name = f"{at}.{key}" if at else key
        if isinstance(item, Mapping) and item and not set(item) & set(_KEYS):
            yield from _flat(item, name)
        else:
            yield name, item


def _dimension(config: Config, name: str, told: Any) -> Dimension:
    at = ("search", "space", name)

    def refuse(message: str) -> ConfigError:
        return ConfigError(config.complaint(at, message))

    if name.split(".", maxsplit=1)[0] in _FIXED:
        raise refuse("a search may vary neither the market nor what it costs; leave it out")
    if name == "account.tranches":
        raise refuse("a search trades one position at a time; leave it out")
    if name == "account.shared":
        raise refuse("a study is one account or several; leave it out and search twice")
    if isinstance(told, list):
        told = {"choices": told}
    if not isinstance(told, Mapping):
        raise refuse(f"expected a table with low and high, or choices; was {told!r}")
    for key in told:
        if key not in _KEYS:
            raise refuse(unknown_key(key, _KEYS))
    when = None
    if "when" in told:
        pairs = list(_flat(told["when"])) if isinstance(told["when"], Mapping) else []
        if len(pairs) != 1:
            raise refuse('when takes one setting and its value or values, such as { "strategy.allow_short" = true }')
        other, values = pairs[0]
        when = Condition(other, tuple(_packed(v) for v in (values if isinstance(values, list) else [values])))
    try:
        return _made(name, told, when)
    except (ValueError, TypeError) as error:
        raise refuse(str(error).removeprefix(f"{name}: ")) from None


def _made(name: str, told: Mapping[str, Any], when: Condition | None) -> Dimension:
    if "choices" in told:
        extra = set(told) - {"choices", "when"}
        if extra:
            raise ValueError(f"choices stand alone, {min(extra)!r} is there too")
        if not isinstance(told["choices"], list):
            raise ValueError(f"choices must be a list, was {told['choices']!r}")
        return Choice(name, tuple(_packed(value) for value in told["choices"]), when)
    for key, kind in (("low", int | float), ("high", int | float), ("step", int | float), ("points", int)):
        is_left_out = key not in told and key in ("step", "points")
        if not is_left_out and (not isinstance(told.get(key), kind) or isinstance(told.get(key), bool)):
            what = "a whole number" if kind is int else "a number"
            raise TypeError(f"{key} must be {what}, was {told.get(key)!r}")
    if not isinstance(told.get("log", False), bool):
        raise TypeError(f"log must be true or false, was {told['log']!r}")
    low, high, step = told["low"], told["high"], told.get("step")
    log, points = bool(told.get("log", False)), int(told.get("points", GRID_POINTS))
    if isinstance(low, int) and isinstance(high, int) and (step is None or isinstance(step, int)):
        return IntRange(name, low, high, 1 if step is None else step, log, points, when)
    return FloatRange(name, float(low), float(high), None if step is None else float(step), log, points, when)
