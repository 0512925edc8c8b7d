"""What a bot lived through is read from its journal and its event log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from itb.errors import JournalError
from itb.live.run.event_log import moment
from itb.live.run.lived import Tick, read_lived
from itb.market.timeframe import Timeframe
from tests.live.rehearsal import START, Rehearsal

MINUTE, FRAME = 60_000, Timeframe.parse("1m")


def write_events(folder: Path, *events: tuple[int, str, dict[str, Any]]) -> None:
    lines = [json.dumps({"time": moment(START + at), "event": kind, **more}) for at, kind, more in events]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bot that bought, sold, and was refused once."""
    with Rehearsal(tmp_path / "journal.sqlite") as rehearsal:
        rehearsal.pulse()
        rehearsal.dealer.ask(rehearsal.intent(qty="0.02", bar_time=START - MINUTE))
        rehearsal.pulse(2)
        rehearsal.dealer.ask(rehearsal.intent(side="sell", qty="0.02", bar_time=START))
        rehearsal.pulse(2)
        rehearsal.dealer.ask(rehearsal.intent(qty="0.0000001", bar_time=START + MINUTE))
        rehearsal.pulse(2)
    return tmp_path


def test_fills_and_refusals_are_those_of_the_journal(folder: Path) -> None:
    lived = read_lived(folder, "", FRAME)
    buy, sell = lived.fills["random", "BTC/USDT"]
    assert (buy.qty, sell.qty, buy.kind) == (0.02, -0.02, "market")
    assert (buy.price, sell.price) == (20_010.0, 19_990.0)
    assert buy.open_time == FRAME.floor(START)
    ((name, why),) = lived.refused.items()
    assert name == ("random", "BTC/USDT", START + MINUTE)
    assert "0.0000001" in why or "step" in why or "minimum" in why
    assert lived.first_order == {("random", "BTC/USDT"): START - MINUTE}


def test_ticks_and_times_without_orders_are_those_of_the_log(folder: Path) -> None:
    write_events(
        folder,
        (0, "START", {}),
        (5, "NOTE", {"text": "decisions count from here on"}),
        (10, "TICK", {"symbol": "BTC/USDT", "bar": START, "scores": {"up": 0.7, "down": None}, "late": True}),
        (11, "BAR", {"symbol": "BTC/USDT", "bar": START + MINUTE, "what": "missing"}),
        (20, "HALTED", {"key": "orders", "text": "daily loss"}),
        (30, "COMMAND", {"ask": "pause"}),
        (40, "RESUMED", {"key": "orders", "text": "daily loss"}),
        (50, "COMMAND", {"ask": "resume"}),
        (60, "COMMAND", {"ask": "close"}),
        (70, "DEGRADED", {"key": "venue", "text": "no answer"}),
        (80, "STOP", {}),
    )
    lived = read_lived(folder, "", FRAME)
    assert lived.ticks["BTC/USDT"] == {START: Tick({"up": 0.7, "down": None}, is_late=True)}
    assert lived.odd_bars["BTC/USDT"] == {START + MINUTE: "missing"}
    assert (lived.starts, lived.closed_by_hand) == ([START], [START + 60])
    said = [lived.shut_at(START + at) for at in (2, 15, 25, 45, 55, 75)]
    assert said[0].startswith("its bars were not live yet")
    assert said[1:] == ["", "daily loss", "paused by a person", "", "no answer"]


def test_a_folder_without_a_bot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no bot has run there"):
        read_lived(tmp_path, "", FRAME)
