"""A whole bot on paper that is filled between bars, by the streams of a practice exchange."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from itb.config import load_config
from itb.errors import ConfigError
from itb.live.orders.state import Phase
from itb.runs.live import Launch, bot_folder, live
from itb.runs.practice import Rehearsal
from itb.runs.workspace import Workspace
from tests.runs.exchanges import end_exchanges
from tests.runs.test_live import MINUTE, SETTINGS, book_of

BARS = 30


def run(folder: Path, speed: str, *asked: str) -> tuple[Mapping[str, Any], Path]:
    config = load_config(None, [*SETTINGS, *asked, "live.fresh=1h", f"runs.root={folder / 'runs'}"])
    workspace, launch = Workspace(config), Launch(is_paper=True, rehearsal=Rehearsal(speed=speed, bars=90), bars=BARS)
    place = bot_folder(workspace, launch)
    try:
        return live(workspace, launch, lambda _line: None).data, place
    finally:
        end_exchanges(place)


@pytest.mark.parametrize("prices", ["trades", "book"])
def test_a_bot_on_paper_is_filled_between_bars(tmp_path: Path, prices: str) -> None:
    said, folder = run(
        tmp_path,
        "240",
        f"live.prices={prices}",
        "strategy.entry=limit",
        "strategy.entry_bars=3",
        "strategy.entry_timeout=market",
    )
    book = book_of(folder)
    fills = [fill for order in book.orders.values() for fill in order.fills]
    assert said["steps"] == BARS
    assert said["status"]["health"] == "NORMAL"
    assert fills
    assert all(order.is_settled or order.phase is Phase.OPEN for order in book.orders.values())
    assert {fill.time % MINUTE for fill in fills} - {0}


def test_a_market_without_a_pace_has_no_prices_between_bars(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"live\.prices: market time that runs by"):
        run(tmp_path, "lockstep", "live.prices=book")
