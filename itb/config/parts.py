"""From a config's tables to the parts they name: features, label, algorithm, promotion rule, strategy, market."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from itb.config.messages import Location, own_key, problems, unknown_key, unknown_name
from itb.config.model import Config
from itb.config.sections import FeaturePart, Part
from itb.errors import ConfigError
from itb.market.costs import BPS

if TYPE_CHECKING:
    from itb.datafeeds.synthetic import SyntheticMarket
    from itb.indicators.feature import Feature
    from itb.indicators.feature_set import FeatureSet
    from itb.indicators.signals import Signal, SignalSet
    from itb.mlmodels.algorithm import Algorithm
    from itb.mlmodels.labels import Label
    from itb.mlmodels.promotion import PromotionRule
    from itb.mlmodels.training import Training
    from itb.strategies.protections import EntryProtection

Built = TypeVar("Built")

SECTIONS: dict[str, Location] = {
    "synthetic": ("synthetic",),
    "features": ("features",),
    "label": ("label",),
    "model": ("model",),
    "promotion": ("walkforward", "promotion"),
    "signals": ("signals",),
    "strategy": ("strategy",),
    "protections": ("protections",),
    "outputs": ("outputs",),
    "ways": ("ways",),
    "stack": ("stack",),
    "thresholds": ("thresholds",),
    "shadows": ("shadows",),
}
"""What has parts, and where it stands in the config."""

_ASSEMBLED = ("history", "protections", "allocation")  # parameters of strategies that no key of [strategy] sets


@dataclass(frozen=True)
class Parameter:
    """One setting of a part: its type, and its default (``inspect.Parameter.empty`` where it must be given)."""

    name: str
    annotation: Any
    default: Any

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


def registry(of: str) -> Mapping[str, type]:
    """Give the table of the parts that a section (see ``SECTIONS``) may name.

    >>> "highlow2" in registry("label")
    True
    """
    found: Mapping[str, type]
    match of:
        case "features":
            from itb.indicators.feature_set import FEATURES

            found = FEATURES
        case "label":
            from itb.mlmodels.labels import LABELS

            found = LABELS
        case "model":
            from itb.mlmodels.algorithms import ALGORITHMS
            from itb.mlmodels.deep.models import DEEP

            found = {**ALGORITHMS, **DEEP}
        case "promotion":
            from itb.mlmodels.promotion import Sane, SkillGate

            found = {"sane": Sane, "skill_gate": SkillGate}
        case "signals":
            from itb.indicators.signals import SIGNALS

            found = SIGNALS
        case "strategy":
            from itb.strategies.loading import STRATEGIES

            found = STRATEGIES
        case "protections":
            from itb.strategies.protections import PROTECTIONS

            found = PROTECTIONS
        case "outputs" | "ways":
            from itb.live.notify.outputs import OUTPUTS
            from itb.live.notify.ways.registry import WAYS

            found = OUTPUTS if of == "outputs" else WAYS
        case "stack":
            from itb.mlmodels.stages.stack import STACKERS

            found = STACKERS
        case "thresholds" | "shadows":
            from itb.mlmodels.stages.flags import CHOICES
            from itb.mlmodels.thresholds import POLICIES

            found = CHOICES if of == "thresholds" else POLICIES
        case "synthetic":
            from itb.datafeeds.synthetic import SyntheticMarket

            found = {"synthetic": SyntheticMarket}
        case _:
            raise ValueError(f"of must be one of {', '.join(SECTIONS)}, was {of!r}")
    return found


def parameters(of: str, part: type) -> tuple[Parameter, ...]:
    """List what a part can be told in the config, in the order of its signature.

    >>> [parameter.name for parameter in parameters("label", registry("label")["future_return"])]
    ['horizon', 'threshold', 'direction', 'alias']
    """
    taken = {"symbols", "timeframe"} if of == "synthetic" else set()  # [data] has them
    settings: Any = getattr(part, "Settings", part)
    hints = get_type_hints(settings)
    made = {field.name: field.default_factory for field in fields(settings)} if is_dataclass(settings) else {}
    if not set(inspect.signature(settings).parameters) <= set(made):  # an ``__init__`` of its own
        hints |= get_type_hints(settings.__init__)
    return tuple(
        Parameter(given.name, hints.get(given.name, Any), _default(given, made.get(given.name, MISSING)))
        for given in inspect.signature(settings).parameters.values()
        if given.name not in taken
    )


def _default(given: inspect.Parameter, factory: Any) -> Any:
    return given.default if factory is MISSING else factory()


def keys_model(of: str, part: type) -> type[BaseModel]:
    """Give what checks a part's keys and their types, as a pydantic model whose aliases are the keys."""
    known: dict[str, Any] = {
        f"key_{i}": (p.annotation, Field(alias=p.name) if p.is_required else Field(default=p.default, alias=p.name))
        for i, p in enumerate(parameters(of, part))
    }
    config = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True, protected_namespaces=()
    )
    return create_model(part.__name__, __config__=config, **known)


def feature_set(config: Config, columns: Collection[str] = ()) -> FeatureSet:
    """Build the configured features, in order; ``columns`` are those of the bars they will read.

    The default family adds its order flow where the bars carry one and the config does not say otherwise. Raises
    :class:`itb.errors.ConfigError`, as all builders here do, with one line for each key that is wrong.
    """
    from itb.config.expansion import KEYS, expanded
    from itb.indicators.feature_set import FeatureSet

    def make(number: int) -> Feature:
        part, at = config.features[number], ("features", number)
        family, kind = _family(config, part, at)
        own = [parameter.name for parameter in parameters("features", family)]
        build = partial(_build, config, "features", family, at=at, make=kind)
        return tell(config, at, partial(expanded, config, part, columns, own, build), KEYS)

    built = _each(make, len(config.features))
    return tell(config, ("features",), lambda: FeatureSet(tuple(built)))


def _family(config: Config, part: FeaturePart, at: Location) -> tuple[type, Callable[..., Feature]]:
    """Give the class of a family, built in or a person's own, and what builds it."""
    if ":" not in part.family:
        found = chosen(config, "features", part, at)
        return found, found
    from itb.config.plugins import own_feature
    from itb.indicators.own_feature import OwnFeature

    own = own_feature(config, part.family, (*at, "family"))
    return own, partial(OwnFeature.of, own, part.family)


def labels(config: Config) -> tuple[Label, ...]:
    """Build the configured labels, in order."""
    return tuple(
        _each(lambda i: named(config, "label", config.all_labels[i], config.place("label", i)), len(config.all_labels))
    )


def algorithms(config: Config) -> tuple[Algorithm, ...]:
    """Build the configured algorithms, in order."""
    return tuple(
        _each(lambda i: named(config, "model", config.all_models[i], config.place("model", i)), len(config.all_models))
    )


def promotion(config: Config) -> PromotionRule:
    """Build the configured promotion rule."""
    built: PromotionRule = named(config, "promotion", config.walkforward.promotion, SECTIONS["promotion"])
    return built


def training(config: Config) -> Training:
    """Build what ``[training]`` says; a trading result is taken after the configured taker fee and slippage."""
    from itb.mlmodels.judges import JUDGES, TradingResult
    from itb.mlmodels.stopping import EarlyStopping
    from itb.mlmodels.training import Training
    from itb.mlmodels.weights import WEIGHTS, TimeDecay

    section = config.training
    stopping = None
    if section.early_stopping != "none":
        is_money = section.early_stopping == "trading"
        judge = TradingResult(config.costs.one_way_bps * BPS) if is_money else JUDGES[section.early_stopping]()
        stopping = EarlyStopping(judge, section.stopping_tail, section.stopping_patience, section.stopping_refit)
    weights = [
        TimeDecay(section.oldest_weight) if name == "time_decay" else WEIGHTS[name]() for name in section.weights
    ]

    def make() -> Training:
        return Training(
            weights=tuple(weights),
            class_balance=section.class_balance,
            sequential_bootstrap=section.sequential_bootstrap,
            train_rows_max=section.train_rows_max,
            early_stopping=stopping,
            reuse_bins=section.reuse_bins,
            coin_scaling=section.coin_scaling,
        )

    return tell(config, ("training",), make, list(type(section).model_fields))


def synthetic_market(config: Config) -> SyntheticMarket:
    """Build the built-in market for the configured symbols and timeframe."""
    from itb.datafeeds.synthetic import SyntheticMarket

    def make(**settings: Any) -> SyntheticMarket:
        return SyntheticMarket(symbols=config.data.symbols, timeframe=config.data.timeframe, **settings)

    return _build(config, "synthetic", SyntheticMarket, config.synthetic.settings, ("synthetic",), make)


def signal_set(config: Config) -> SignalSet:
    """Build the configured signals, in order."""
    from itb.indicators.signals import SignalSet

    def make(number: int) -> Signal:
        built: Signal = named(config, "signals", config.signals[number], ("signals", number))
        return built

    built = tuple(_each(make, len(config.signals)))
    return tell(config, ("signals",), lambda: SignalSet(built))


def protections(config: Config) -> tuple[EntryProtection, ...]:
    """Build the configured protections, in order."""

    def make(number: int) -> EntryProtection:
        built: EntryProtection = named(config, "protections", config.protections[number], ("protections", number))
        return built

    return tuple(_each(make, len(config.protections)))


def strategy_settings(config: Config, strategy: type) -> dict[str, Any]:
    """Check the keys of ``[strategy]`` against a strategy class and give them as its parameters.

    A class attribute ``Settings`` (a frozen dataclass) says keys, types and limits; without one the names of
    backtrader's ``params`` do.
    """
    settings = config.strategy.settings
    if hasattr(strategy, "Settings"):
        made = _build(config, "strategy", strategy, settings, ("strategy",), strategy.Settings)
        return {name: getattr(made, name) for name in settings}
    given = list(strategy.params._getkeys()) if hasattr(strategy, "params") else []
    known = [name for name in given if name not in _ASSEMBLED]
    _raise(config, [(("strategy", key), unknown_key(key, known)) for key in settings if key not in known])
    return settings


def chosen(config: Config, of: str, part: Part, at: Location) -> type:
    """Find the part that a table names."""
    table = registry(of)
    if part.chosen not in table:
        assert part.selector is not None
        what = {
            "features": "family",
            "model": "algorithm",
            "promotion": "rule",
            "signals": "signal",
            "protections": "protection",
            "outputs": "output",
            "ways": "way",
            "stack": "algorithm",
            "thresholds": "policy",
            "shadows": "policy",
        }.get(of, of)
        raise ConfigError(config.complaint((*at, part.selector), unknown_name(what, part.chosen, table)))
    return table[part.chosen]


def named(config: Config, of: str, part: Part, at: Location) -> Any:
    """Build the part that a table names with its keys."""
    kind = chosen(config, of, part, at)
    return _build(config, of, kind, part.settings, at, kind)


def _each(make: Callable[[int], Built], count: int) -> list[Built]:
    """Build each of several parts, and tell all that is wrong with any of them."""
    built, complaints = [], []
    for number in range(count):
        try:
            built.append(make(number))
        except ConfigError as error:
            complaints.append(str(error))
    if complaints:
        raise ConfigError("\n".join(complaints))
    return built


def _build(
    config: Config, of: str, part: type, settings: Mapping[str, Any], at: Location, make: Callable[..., Built]
) -> Built:
    known = [parameter.name for parameter in parameters(of, part)]
    spelled = [*known, *(FeaturePart.model_fields if of == "features" else ())]
    try:
        checked = keys_model(of, part).model_validate_json(json.dumps(settings, default=str), strict=True)
    except ValidationError as error:
        _raise(config, [((*at, *place), message) for place, message in problems(error, {(): spelled})])
        raise
    keys = type(checked).model_fields
    given = {str(keys[name].alias): getattr(checked, name) for name in checked.model_fields_set}
    return tell(config, at, lambda: make(**given), known)


def tell(config: Config, at: Location, act: Callable[[], Built], known: Sequence[str] = ()) -> Built:
    """Act; what a part refuses with ``ValueError`` becomes a complaint about the key it names."""
    try:
        return act()
    except ValueError as error:
        place, message = own_key(at, str(error), known)
        raise ConfigError(config.complaint(place, message)) from None


def _raise(config: Config, found: list[tuple[Location, str]]) -> None:
    if found:
        raise ConfigError("\n".join(config.complaint(at, message) for at, message in found))
