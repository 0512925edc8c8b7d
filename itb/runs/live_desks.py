"""From the models that a bot took along to the desks that say its scores, bar by bar."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from itb.live.episodes import Episodes, about
from itb.live.scores.challenging import Challengers
from itb.live.scores.desk import ScoreDesk, as_they_are
from itb.live.scores.panel import PanelDesk
from itb.live.scores.panel_column import PanelColumn
from itb.live.scores.speaking import SpeakingColumn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from itb.config.live import LiveSection
    from itb.live.bars.barrier import Step
    from itb.live.episodes import Episode
    from itb.live.host.growing import GrowingBars
    from itb.live.run.chronicle import Chronicle
    from itb.live.run.engine import Engine
    from itb.live.scores.desk import Column
    from itb.market.bars import Bars
    from itb.runs.live_models import LiveModels


@dataclass(frozen=True, eq=False)
class Networks:
    """The desks of the networks among some models, each for all symbols together, by score column."""

    desks: Mapping[str, PanelDesk]

    @classmethod
    def of(cls, models: LiveModels, windows: Mapping[str, GrowingBars], episodes: Episodes, check: int = 0) -> Networks:
        """Build them on the growing bars of all symbols; none where no network was trained."""
        found = {}
        for files in models.columns:
            if files.coins:
                frame = next(iter(windows.values())).timeframe
                desk = PanelDesk(
                    windows,
                    files.models,
                    episodes,
                    frame.ms,
                    expires_after_ms=files.expires_after_ms,
                    runtime=models.runtime,
                    check=check,
                    keeps_rows=files.has_raw,
                )
                found[desk.column] = desk
        return cls(found)

    async def look_back(self, _step: Step) -> None:
        """Let each compute again what it said, beside everything else."""
        for desk in self.desks.values():
            await asyncio.to_thread(desk.look_back)


def score_desks(
    models: Mapping[str, LiveModels],
    windows: Mapping[str, GrowingBars],
    before: Mapping[str, Bars | None],
    hear: Callable[[Episode], None],
    check: int,
    enrich: Callable[[Bars], Bars],
) -> tuple[Networks, dict[str, ScoreDesk]]:
    """Build the desks of all symbols, and those of the networks that speak for all of them."""
    networks = Networks.of(next(iter(models.values())), windows, Episodes(hear), check)
    desks = {
        symbol: score_desk(
            models[symbol],
            window,
            networks,
            Episodes(about(symbol, hear)),
            before=before[symbol],
            check=check,
            enrich=enrich,
        )
        for symbol, window in windows.items()
    }
    return networks, desks


def challengers(
    engine: Engine, chronicle: Chronicle, settings: LiveSection
) -> tuple[Callable[[Step], Awaitable[None]], ...]:
    """Put challengers beside the columns of an engine's desks, if asked for; give what asks them after a decision."""
    if not settings.challengers:
        return ()
    found = Challengers(engine.desks, engine.windows, chronicle.challenged)
    engine.challengers = found.of
    return (found.ask,)


def score_desk(
    models: LiveModels,
    window: GrowingBars,
    networks: Networks,
    episodes: Episodes,
    *,
    before: Bars | None,
    check: int = 0,
    enrich: Callable[[Bars], Bars] = as_they_are,
) -> ScoreDesk:
    """Build the desk of one symbol; models that cannot be read are told, and give no score.

    ``before`` are all bars so far: what follows from earlier scores goes on from those before the window. ``enrich``
    adds the columns of other sources.
    """
    columns: list[Column] = []
    for files in models.columns:
        if files.coins:
            columns.append(PanelColumn(networks.desks[files.models.name], window.symbol, files))
        else:
            columns.append(SpeakingColumn(files, models.features.names, episodes))
    return ScoreDesk(
        window, models.features, columns, models.derived,
        episodes=episodes, followers=models.following.followers(before, enrich), check=check, enrich=enrich,
    )  # fmt: skip
