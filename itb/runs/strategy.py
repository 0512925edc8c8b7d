"""Which strategy runs, with which settings, and which score columns it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from itb.backtest.probe import columns_read
from itb.config import parts
from itb.config.check import check
from itb.config.messages import unknown_name
from itb.config.plugins import load_plugins
from itb.errors import ConfigError
from itb.runs.model import score_ranges
from itb.strategies.allocation import Allocation
from itb.strategies.base import Strategy
from itb.strategies.loading import load_strategy

if TYPE_CHECKING:
    from itb.config import Config
    from itb.market.bars import Bars
    from itb.runs.scored import ScoreRanges
    from itb.runs.workspace import Workspace
    from itb.strategies.protections import EntryProtection


@dataclass(frozen=True)
class ChosenStrategy:
    """The configured strategy class, its settings as checked, and the score columns that it reads."""

    strategy: type[Any]
    settings: Mapping[str, Any]
    columns: frozenset[str]
    protections: tuple[EntryProtection, ...] = ()
    allocation: Allocation | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What the class is made with: its settings, and the protections and the account's shares if there are any."""
        more = {"protections": self.protections, "allocation": self.allocation}
        return {**self.settings, **{name: given for name, given in more.items() if given}}

    @property
    def in_force(self) -> dict[str, Any]:
        """The settings, defaults included where the strategy declares them."""
        declared = getattr(self.strategy, "Settings", None)
        return dict(self.settings) if declared is None else dict(vars(declared(**self.settings)))

    @property
    def reads_scores(self) -> bool:
        """Whether anything must be trained for it."""
        return bool(self.columns)


def choose_strategy(workspace: Workspace, *markets: Bars) -> ChosenStrategy:
    """Load the configured strategy and ask it what it reads, before anything is trained for it.

    ``markets`` are the bars of one symbol, or of all that share an account.

    Raises :class:`itb.errors.ConfigError` for a setting that cannot be, a score column that there will not be and a
    threshold outside the score's range included.
    """
    config = workspace.config
    strategy = load_strategy(config.strategy.name, config.folder, load_plugins(config))
    settings = parts.strategy_settings(config, strategy)
    ranges = score_ranges(config)
    _check_thresholds(config, strategy, settings, ranges)
    protections = _protections(config, strategy)
    read = columns_read(strategy, settings, markets, ranges)
    return ChosenStrategy(strategy, settings, read, protections, _allocation(config, strategy))


def _protections(config: Config, strategy: type[Any]) -> tuple[EntryProtection, ...]:
    """Build ``[[protections]]``, and refuse them for a strategy that would not know of them."""
    built = parts.protections(config)
    if built and not issubclass(strategy, Strategy):
        told = f"{strategy.__name__} would not ask them; derive it from itb.strategies.base.Strategy, or leave them out"
        raise ConfigError(config.complaint(("protections",), told))
    return built


def _allocation(config: Config, strategy: type[Any]) -> Allocation | None:
    """Build the shares of ``[account]``; refuse those that a strategy would not know of."""
    section = config.account
    if not section.shared:
        return None
    if issubclass(strategy, Strategy):
        return Allocation(section.max_open_trades, section.equity_share)
    for name in ("max_open_trades", "equity_share"):
        if getattr(section, name):
            asked = f"{strategy.__name__} would not ask for it"
            told = f"{asked}; derive it from itb.strategies.base.Strategy, or leave it out"
            raise ConfigError(config.complaint(("account", name), told))
    return None


def check_settings(config: Config) -> None:
    """Build every part once, the person's own code aside, and see whether the parts fit each other.

    Raises :class:`itb.errors.ConfigError` with one line for each thing that is wrong.
    """
    check(config)
    if ":" not in config.strategy.name:
        strategy = parts.chosen(config, "strategy", config.strategy, ("strategy",))
        _check_thresholds(config, strategy, parts.strategy_settings(config, strategy), score_ranges(config))


def _check_thresholds(config: Config, strategy: Any, settings: Mapping[str, Any], ranges: ScoreRanges) -> None:
    """Refuse thresholds outside the range of the score they are for, where the strategy's settings know their own."""
    made = strategy.Settings(**settings) if hasattr(strategy, "Settings") else None
    if made is None or not hasattr(made, "check_range"):
        return
    named = getattr(made, "score", None)
    if named is None and len(ranges) > 1:
        return
    low, high = ranges[_column(config, named or "", ranges)]
    try:
        made.check_range(low, high)
    except ValueError as error:
        key, _, rest = str(error).partition(" ")
        raise ConfigError(config.complaint(("strategy", key), rest)) from None


def _column(config: Config, named: str, ranges: ScoreRanges) -> str:
    """Give the column that a strategy's ``score`` means; empty means the only one."""
    if named in ranges:
        return named
    if not named and len(ranges) == 1:
        return next(iter(ranges))
    several = f"is empty, and there are {len(ranges)} score columns; name one of {', '.join(ranges)}"
    message = unknown_name("score column", named, ranges) if named else several
    raise ConfigError(config.complaint(("strategy", "score"), message))
