"""`itb notify test`: send a message and a picture by every way, and say what became of them."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from itb.charts.data import Table
from itb.errors import ConfigError
from itb.live.notify.ways.way import LaterError, Outgoing, RefusedError, UnclearError
from itb.runs.herald import open_ways
from itb.runs.said import Said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from itb.charts.score_picture import ScorePicture
    from itb.live.notify.ways.way import Way
    from itb.runs.workspace import Workspace

TEXT = "✅ <b>itb</b> can reach you here."


def try_ways(workspace: Workspace, only: str | None = None) -> Said:
    """Send a test by every configured way, or by one; ``found`` when one of them fails."""
    opened = open_ways(workspace.config)
    if only is not None and only not in opened:
        raise ConfigError(f"--way {only}: no such way; there are {', '.join(opened) or 'none: see [[ways]]'}")
    if not opened:
        raise ConfigError('[[ways]]: there is none to try; add one, such as kind = "console"')
    chosen = {name: way for name, way in opened.items() if only in (None, name)}
    theme = workspace.config.notify.theme
    message = Outgoing(f"test/{workspace.clock()}", workspace.clock(), "alert", TEXT, sample_picture().png(theme))
    results = asyncio.run(_send(chosen, message))
    failed = {name: why for name, why in results.items() if why}
    rows = tuple((name, "failed" if why else "sent", why) for name, why in results.items())
    return Said({"ways": results}, (), Table(("way", "result", "why"), rows), found=bool(failed))


async def _send(ways: Mapping[str, Way], message: Outgoing) -> dict[str, str]:
    results = {}
    for name, way in ways.items():
        try:
            await way.send(message)
            results[name] = ""
        except (LaterError, UnclearError, RefusedError) as error:
            results[name] = str(error)
        finally:
            await way.close()
    return results


def sample_picture() -> ScorePicture:
    """Give a picture to try with: a wave that nobody can trade."""
    import numpy as np

    from itb.charts.score_blocks import ScoreBlocks
    from itb.charts.score_picture import ScorePicture

    at = np.arange(96, dtype=np.int64)
    wave = np.sin(at / 2 / math.pi)
    close = 100 + 3 * wave + at / 40
    blocks = ScoreBlocks(at * 900_000, close + 0.6, close - 0.6, close, 0.3 * np.cos(at / 2 / math.pi))
    return ScorePicture("A test picture", "nothing in it was traded", blocks, (0.2, -0.2), (24,), (12,))
