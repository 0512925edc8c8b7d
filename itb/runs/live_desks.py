"""From the models that a bot took along to the desks that say its scores, bar by bar."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from itb.live.scores.desk import ScoreDesk
from itb.live.scores.panel import PanelColumn, PanelDesk
from itb.live.scores.speaking import SpeakingColumn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.live.bars.barrier import Step
    from itb.live.episodes import Episodes
    from itb.live.host.growing import GrowingBars
    from itb.live.scores.desk import Column
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
                )
                found[desk.column] = desk
        return cls(found)

    async def look_back(self, _step: Step) -> None:
        """Let each compute again what it said, beside everything else."""
        for desk in self.desks.values():
            await asyncio.to_thread(desk.look_back)


def score_desk(
    models: LiveModels, window: GrowingBars, networks: Networks, episodes: Episodes, check: int = 0
) -> ScoreDesk:
    """Build the desk of one symbol; models that cannot be read are told, and give no score."""
    columns: list[Column] = []
    for files in models.columns:
        if files.coins:
            columns.append(PanelColumn(networks.desks[files.models.name], window.symbol, files))
        else:
            columns.append(SpeakingColumn(files, models.features.names, episodes))
    return ScoreDesk(window, models.features, columns, models.derived, episodes=episodes, check=check)
