"""The columns of a bot that follow from scores and what came of them: which there are, what they go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from itb.config import stages as configured
from itb.config.columns import columns
from itb.live.scores.following import Follower, FollowingFlags, FollowingIntervals, Outcome, Past
from itb.mlmodels.stages.tape import ScoreTape

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from itb.config import Config
    from itb.config.columns import LearnedColumn
    from itb.market.bars import Bars
    from itb.mlmodels.labels import Label, LabelColumn
    from itb.mlmodels.stages.column import ScoreColumn


@dataclass(frozen=True, eq=False)
class Following:
    """The tapes of the columns that intervals or flags follow from; ``flagged`` names the one that has flags."""

    config: Config
    tapes: Mapping[str, ScoreTape]
    flagged: str = ""

    @property
    def since(self) -> int | None:
        """Open time of the last bar that all tapes know; a bot's history must go on from there."""
        return min((int(tape.times[-1]) for tape in self.tapes.values()), default=None)

    def followers(self, before: Bars | None, enrich: Callable[[Bars], Bars]) -> tuple[Follower, ...]:
        """Build them; ``before`` are the bars before the bot's history, gaps treated as in every run.

        ``enrich`` adds the columns of other sources, which a label may read.
        """
        found: list[Follower] = []
        stage = configured.conformal(self.config)
        for column in columns(self.config) if stage is not None else ():
            if stage is not None and not column.taught.is_classifier:
                outcome = Outcome(partial(_outcome, column, enrich), _reach(column.label))
                found.append(FollowingIntervals(column.name, stage, outcome, Past(self.tapes[column.name], before)))
        flags = configured.thresholds(self.config)
        if flags is not None:
            returns = _returns(self.config)
            past = Past(self.tapes[self.flagged], before)
            found.append(FollowingFlags(self.flagged, flags, Outcome(returns, _reach(returns)), past))
        return tuple(found)


def followed(config: Config, known: Collection[str]) -> tuple[str, ...]:
    """Name the columns whose scores so far must be kept; ``known`` are all score columns there are."""
    names: list[str] = []
    if configured.conformal(config) is not None:
        names += [column.name for column in columns(config) if not column.taught.is_classifier]
    if configured.thresholds(config) is not None:
        names.append(configured.thresholds_column(config, known))
    return tuple(dict.fromkeys(names))


def keep_tapes(found: Iterable[ScoreColumn], home: Path) -> None:
    """Write the tapes of columns that something follows from."""
    for column in found:
        ScoreTape.of(column).save(tape_folder(home, column.name))


def read_following(config: Config, known: Collection[str], home: Path) -> Following:
    """Read what was kept; raise :class:`itb.errors.ModelError` for a tape that is missing or altered."""
    names = followed(config, known)
    tapes = {name: ScoreTape.load(tape_folder(home, name)) for name in names}
    return Following(config, tapes, names[-1] if configured.thresholds(config) is not None else "")


def tape_folder(home: Path, column: str) -> Path:
    """Give the folder of a column's tape: that of its stages."""
    return home / "stages" / column


def _outcome(column: LearnedColumn, enrich: Callable[[Bars], Bars], bars: Bars) -> LabelColumn:
    return column.outcome(enrich(bars))


def _returns(config: Config) -> Label:
    from itb.mlmodels.labels import FutureReturn

    return FutureReturn(configured.thresholds_horizon(config))


def _reach(label: Label | Callable[[Bars], LabelColumn]) -> int:
    """How many bars decide a value of a label, 0 where any bar before it may."""
    from itb.mlmodels.labels import FutureReturn

    return label.horizon + 1 if isinstance(label, FutureReturn) else 0
