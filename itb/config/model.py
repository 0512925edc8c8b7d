"""The whole config as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Self, get_args, get_origin

from pydantic import BaseModel, Field, PrivateAttr, field_validator, model_validator

from itb.config.account import AccountSection
from itb.config.evaluation import EvaluationSection
from itb.config.live import LiveSection
from itb.config.messages import Location, dotted
from itb.config.notify import NotifySection, OutputPart, TelegramSection, WayPart
from itb.config.search import SearchSection
from itb.config.sections import (
    BacktestSection,
    DataSection,
    FeaturePart,
    InstrumentSection,
    LabelPart,
    LabelsPart,
    ModelPart,
    ModelsPart,
    Part,
    PluginsSection,
    ProtectionPart,
    RunsSection,
    Section,
    StrategyPart,
    SyntheticPart,
    WalkForwardSection,
)
from itb.config.signals import SignalPart, SimulateSection
from itb.config.sources import SourceSection
from itb.config.stage_sections import (
    AbstainSection,
    CalibrationSection,
    ConformalSection,
    ShadowPart,
    StackPart,
    ThresholdsPart,
)
from itb.config.training import TrainingSection
from itb.config.universe import UniverseSection
from itb.market.costs import Costs

DEFAULT_FEATURES = (FeaturePart.model_validate({"family": "default"}),)

DEFAULT_LABEL = LabelPart.model_validate({"horizon": 12, "threshold": 0.0})

OWN_FILE = "{symbol}"
"""Stands in a path for the symbol, where each symbol has a file of its own."""


class Config(Section):
    """Every setting of a run, checked; built by :func:`itb.config.load_config` or from Python.

    The keys of features, label, model, strategy and synthetic market are checked when the part is built
    (:mod:`itb.config.parts`), since that takes the packages which compute.

    >>> config = Config()
    >>> str(config.data.timeframe), config.costs.taker_fee_bps, config.source is None
    ('1h', 10.0, True)
    """

    data: DataSection = DataSection()
    universe: UniverseSection = UniverseSection()
    synthetic: SyntheticPart = SyntheticPart()
    instrument: InstrumentSection = InstrumentSection()
    sources: tuple[SourceSection, ...] = ()
    features: tuple[FeaturePart, ...] = Field(default=DEFAULT_FEATURES, min_length=1)
    label: LabelPart = DEFAULT_LABEL
    labels: tuple[LabelsPart, ...] = ()
    model: ModelPart = ModelPart()
    models: tuple[ModelsPart, ...] = ()
    walkforward: WalkForwardSection = WalkForwardSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    abstain: AbstainSection = AbstainSection()
    calibration: CalibrationSection = CalibrationSection()
    conformal: ConformalSection = ConformalSection()
    stack: StackPart = StackPart()
    thresholds: ThresholdsPart = ThresholdsPart()
    shadows: tuple[ShadowPart, ...] = ()
    signals: tuple[SignalPart, ...] = ()
    simulate: SimulateSection = SimulateSection()
    strategy: StrategyPart = StrategyPart()
    protections: tuple[ProtectionPart, ...] = ()
    costs: Costs = Costs()
    account: AccountSection = AccountSection()
    backtest: BacktestSection = BacktestSection()
    search: SearchSection = SearchSection()
    notify: NotifySection = NotifySection()
    outputs: tuple[OutputPart, ...] = ()
    ways: tuple[WayPart, ...] = ()
    telegram: TelegramSection = TelegramSection()
    live: LiveSection = LiveSection()
    runs: RunsSection = RunsSection()
    plugins: PluginsSection = PluginsSection()

    _source: Path | None = PrivateAttr(default=None)
    _folder: Path = PrivateAttr(default_factory=Path)
    _origins: dict[Location, str] = PrivateAttr(default_factory=dict)

    @field_validator("sources")
    @classmethod
    def _refuse_repeats(cls, sources: tuple[SourceSection, ...]) -> tuple[SourceSection, ...]:
        names = [source.name for source in sources]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"expected each name once, {twice} is there twice")
        return sources

    def source_named(self, name: str) -> SourceSection | None:
        """Give the source of that name, ``None`` where there is none."""
        return next((source for source in self.sources if source.name == name), None)

    @model_validator(mode="after")
    def _refuse_both(self) -> Self:
        for one, several in (("label", self.labels), ("model", self.models)):
            if several and one in self.model_fields_set:
                raise ValueError(
                    f"{one}s: is set beside {one}; keep [[{one}s]] alone and set one of its keys with "
                    f"--set {one}s.0.KEY=VALUE, or keep [{one}] alone"
                )
        return self

    @property
    def all_labels(self) -> tuple[LabelPart, ...]:
        """Every label: those of ``[[labels]]``, else that of ``[label]``."""
        return self.labels or (self.label,)

    @property
    def all_models(self) -> tuple[ModelPart, ...]:
        """Every model: those of ``[[models]]``, else that of ``[model]``."""
        return self.models or (self.model,)

    def place(self, section: str, number: int) -> Location:
        """Say where one of the labels, models or features stands.

        >>> Config().place("label", 0), Config().place("features", 0)
        (('label',), ('features', 0))
        """
        many = {"label": "labels", "model": "models"}.get(section, section)
        return (section,) if many != section and not getattr(self, many) else (many, number)

    def of(self, source: Path | None, folder: Path, origins: Mapping[Location, str]) -> Config:
        """Give the same settings with a memory of where they come from."""
        copy = self.model_copy()
        copy._source, copy._folder, copy._origins = source, folder, dict(origins)
        return copy

    def changed(self, **sections: object) -> Config:
        """Give the config with other sections, remembering where the rest comes from."""
        return self.model_copy(update=sections).of(self._source, self._folder, self._origins)

    @property
    def traded_on(self) -> str:
        """The exchange that a bot trades on: ``live.exchange``, else that of the bars."""
        return self.live.exchange or self.data.exchange

    @property
    def source(self) -> Path | None:
        """The file the settings come from; ``None`` when there is none and the defaults speak."""
        return self._source

    @property
    def origins(self) -> Mapping[Location, str]:
        """Who set each key that was set: a file, a variable, an option."""
        return self._origins

    @property
    def folder(self) -> Path:
        """The project folder: relative paths are seen from here."""
        return self._folder

    def locate(self, path: Path | str) -> Path:
        """Resolve a path of the config.

        >>> Config().locate("/data/x.parquet")
        PosixPath('/data/x.parquet')
        """
        return self._folder / path

    def locate_for(self, symbol: str, path: Path | str) -> Path:
        """Resolve a path of which each symbol has its own: ``{symbol}`` stands for it, without marks and settlement.

        >>> Config().locate_for("BTC/USDT:USDT", "/data/{symbol}-funding.parquet")
        PosixPath('/data/BTCUSDT-funding.parquet')
        """
        return self.locate(str(path).replace(OWN_FILE, symbol.partition(":")[0].replace("/", "")))

    @property
    def data_root(self) -> Path:
        """Folder of the bar store."""
        return self.locate(self.data.root)

    @property
    def runs_root(self) -> Path:
        """Folder of the runs' capsules."""
        return self.locate(self.runs.root)

    def complaint(self, location: Location, message: str) -> str:
        """Word what is wrong with a setting: who set it, its name, the message.

        >>> Config().complaint(("label", "horizon"), "must be at least 1 bar, was 0")
        'built-in defaults: label.horizon: must be at least 1 bar, was 0'
        """
        return f"{origin_of(location, self._origins, self._source)}: {dotted(location)}: {message}"

    def plain(self) -> dict[str, Any]:
        """Give the settings as plain tables, named as in the file; what is not set is left out."""
        tables = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        for one, several in (("label", self.labels), ("model", self.models)):
            del tables[one if several else f"{one}s"]
        for name in ("sources", "shadows", "signals", "protections", "outputs", "ways"):
            if not tables[name]:
                del tables[name]
        return tables


def origin_of(location: Location, origins: Mapping[Location, str], source: Path | None) -> str:
    """Say who set ``location``: the longest override that leads to it, else the file, else an override below it."""
    for length in range(len(location), 0, -1):
        if location[:length] in origins:
            return origins[location[:length]]
    if source is not None:
        return str(source)
    below = (origin for at, origin in origins.items() if at[: len(location)] == location)
    return next(below, "built-in defaults")


def parts() -> dict[str, tuple[str, dict[str, Any]]]:
    """Section -> the key that names its part, and the section's defaults.

    >>> parts()["label"]
    ('kind', {'kind': 'future_return', 'horizon': 12, 'threshold': 0.0})
    """
    defaults = {name: field.default for name, field in Config.model_fields.items()}
    return {
        name: (part.selector, part.model_dump(mode="json"))
        for name, part in defaults.items()
        if isinstance(part, Part) and part.selector is not None
    }


def lists() -> dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]]:
    """Section that is a list -> the key that names an item's part, the default of it, the default items.

    >>> lists()["labels"], lists()["features"]
    (('kind', {'kind': 'future_return'}, []), ('family', {}, [{'family': 'default'}]))
    """
    return {
        name: (
            selector,
            {key: one.default for key, one in item.model_fields.items() if key == selector and not one.is_required()},
            [one.model_dump(mode="json", exclude_none=True) for one in field.default],
        )
        for name, field in Config.model_fields.items()
        if (item := item_of(field.annotation)) is not None
        for selector in [getattr(item, "selector", "")]
    }


def item_of(annotation: Any) -> type[BaseModel] | None:
    """Give the table of which a section is a list, ``None`` where it is none.

    >>> item_of(tuple[LabelPart, ...]).__name__
    'LabelPart'
    """
    item = get_args(annotation)[0] if get_origin(annotation) is tuple else None
    return item if isinstance(item, type) and issubclass(item, BaseModel) else None


def known_keys() -> dict[Location, list[str]]:
    """Table -> the keys it may hold, as the file writes them; tables with free keys are left out.

    >>> known_keys()["runs",]
    ['root']
    """
    keys: dict[Location, list[str]] = {(): list(Config.model_fields)}
    for name, field in Config.model_fields.items():
        kind = field.annotation
        item = item_of(kind)
        if item is not None:
            keys[name, 0] = list(item.model_fields)
        if isinstance(kind, type) and issubclass(kind, Section):
            keys[name,] = [inner.serialization_alias or own for own, inner in kind.model_fields.items()]
            keys |= _inner_keys(name, kind)
        elif isinstance(kind, type) and not issubclass(kind, BaseModel):
            keys[name,] = [inner.name for inner in fields(kind)]
    return keys


def _inner_keys(name: str, section: type[Section]) -> dict[Location, list[str]]:
    """Give the tables in a section, such as `[live.limits]` and `[[live.strategies]]`."""
    keys: dict[Location, list[str]] = {}
    for own, field in section.model_fields.items():
        at, item = (name, field.serialization_alias or own), item_of(field.annotation)
        if item is not None:
            keys[*at, 0] = [inner.serialization_alias or key for key, inner in item.model_fields.items()]
        elif isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            keys[at] = [inner.serialization_alias or key for key, inner in field.annotation.model_fields.items()]
    return keys
