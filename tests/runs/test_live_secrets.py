"""`itb live --practice` as a process of its own, under faults, with everything at DEBUG: no canary is left anywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from itb.errors import ItbError
from itb.live.cockpit import to_json
from itb.live.practice.guard import SECRET
from itb.live.run.control import RemoteCockpit
from itb.live.run.event_log import read_events
from tests.live.run.test_outlook import free_port
from tests.runs.exchanges import end_exchanges

CANARIES = {
    "ITB_EXCHANGE_API_KEY": "cAnArYk3yXXXXXXXXXXXXXXXXXXXXXXX", "ITB_EXCHANGE_API_SECRET": "cAnArYs3cr3t/with+signs=",
    "ITB_TELEGRAM_TOKEN": "123456789:cAnArYt0k3nXXXXXXXXXXXXXXXXXXXXXX", "OTHER_API_KEY": "cAnArYo7h3r",
}  # fmt: skip
SETTINGS = (
    "data.timeframe=1m", "synthetic.bars=1000",
    "walkforward={train=500, refit_every=1000, min_train_rows=50, workers=1}",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]", "model.rounds=5",
    "strategy.buy_threshold=0.4", "strategy.sell_threshold=0.39",
)  # fmt: skip
TALKATIVE = """
import logging, os, sys
logging.basicConfig(level=logging.DEBUG, filename=sys.argv.pop(1))
from itb.cli import main
main()
"""


def run(project: Path, bars: int, faults: str) -> tuple[dict[str, str], int]:
    """Run a bot to its end, ask it things meanwhile; give all that it said, by where, and how often it answered."""
    port, log = free_port(), project / "debug.log"
    command = [
        sys.executable, "-X", "dev", "-c", TALKATIVE, str(log), "live", "--practice", "--speed", "600",
        "--bars", str(bars), "--timeframe", "1m", "--faults", faults, "--seed", "3",
        *(part for text in (*SETTINGS, f"live.metrics_port={port}") for part in ("--set", text)),
    ]  # fmt: skip
    folder = project / "runs" / "live" / "bot-practice"
    said: dict[str, str] = {}
    answers = 0
    bot = subprocess.Popen(
        command, cwd=project, env={**os.environ, **CANARIES}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while bot.poll() is None:
            time.sleep(0.05)
            try:
                far = RemoteCockpit(folder, timeout_s=30.0)
                said["socket"] = said.get("socket", "") + str([to_json(far.status()), far.orders(50), far.balance()])
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30.0) as told:
                    said["metrics"] = told.read().decode()
                answers += 1
            except (ItbError, OSError, urllib.error.URLError):
                continue
        said["stdout"], said["stderr"] = bot.communicate()
    finally:
        if bot.poll() is None:
            bot.kill()
            bot.communicate()
        end_exchanges(folder)
    assert bot.returncode == 0, said["stderr"][-3000:]
    for path in project.rglob("*"):
        if path.is_file():
            said[str(path.relative_to(project))] = path.read_bytes().decode("latin-1")
    return said, answers


def assert_no_secret(said: dict[str, str]) -> None:
    told = [*CANARIES.values(), SECRET, "cAnArY"]
    assert [(where, one) for where, text in said.items() for one in told if one in text] == []
    signed = re.compile(r"signature['\"]?[=:]\s*['\"]?[0-9a-f]{64}|X-MBX-APIKEY['\"]?: ['\"]?practice")
    assert [(where, found[0]) for where, text in said.items() if (found := signed.search(text))] == []


@pytest.mark.parametrize(
    ("bars", "faults"),
    [(60, "all=10"), pytest.param(400, "all=20", marks=pytest.mark.soak)],
)
def test_a_bot_under_faults_at_debug_leaves_no_secret(tmp_path: Path, bars: int, faults: str) -> None:
    said, answers = run(tmp_path, bars, faults)
    assert_no_secret(said)
    assert answers > 3
    assert len(said["debug.log"]) > 10_000
    assert {"socket", "metrics", "runs/live/bot-practice/journal.sqlite"} <= set(said)
    events = read_events(tmp_path / "runs" / "live" / "bot-practice" / "events.jsonl")
    assert sum(event["event"] == "TICK" for event in events) >= bars
    assert any(event["event"] == "ORDER" for event in events)
