"""A bot whose scores turn out worse than its backtest let expect goes on trading on paper, and says why."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from itb.config import load_config
from itb.market.bars import utc
from itb.runs.backtest import backtest
from itb.runs.expected import keep_expectations
from itb.runs.workspace import Workspace
from tests.live.notify.bot_api import BotApi
from tests.runs.chatting import CONFIG, Chat

BARS, TURN, START = 20_000, 2_800, 1_704_067_200_000  # far more than are played before the bot is told to stop
SETTINGS = CONFIG.replace('timeframe = "1m"', 'timeframe = "1m"\nexchange = "file"\nfile = "market.csv"').replace(
    "5000", "1000"
)
OUTPUTS = """
[live]
retrain = false
[notify]
left_band = "paper"
[[outputs]]
kind = "score_steps"
quiet_below = 0
[[outputs]]
kind = "alerts"
"""


def write_market(file: Path) -> None:
    """Write a market that goes up and down like clockwork, and at random from bar ``TURN`` on."""
    draw = np.random.default_rng(1)
    clockwork = 100 * np.exp(0.01 * np.sin(np.arange(TURN) / 48 * 2 * np.pi) + draw.normal(0, 0.0002, TURN))
    random = clockwork[-1] * np.exp(np.cumsum(draw.normal(0, 0.0009, BARS - TURN)))
    close = np.round([100, *clockwork, *random], 3).tolist()
    rows = [
        f"{START + 60_000 * n},{a:.3f},{max(a, b) + 0.01:.3f},{min(a, b) - 0.01:.3f},{b:.3f},{1000 + n % 17 * 30}\n"
        for n, (a, b) in enumerate(pairwise(close))
    ]
    file.write_text("timestamp,open,high,low,close,volume\n" + "".join(rows))


def measure(folder: Path) -> None:
    """Backtest what came before the turn, and grade it as the bot would do in a process beside it."""
    (folder / "itb.toml").write_text(SETTINGS + OUTPUTS)
    config = load_config(folder / "itb.toml")
    until = utc(START + 60_000 * TURN)[:16].replace(" ", "T")
    place = Workspace(load_config(folder / "itb.toml", [f"data.to={until}Z"]))
    (run,) = backtest(place)
    keep_expectations(Workspace(config), run.capsule.run_id)


def scoreboard(chat: Chat) -> str:
    return chat.ask("/scoreboard", ("graded", "Nothing has been sent yet"))


def test_a_bot_that_left_the_band_of_its_backtest_goes_on_on_paper(tmp_path: Path) -> None:
    write_market(tmp_path / "market.csv")
    measure(tmp_path)
    with BotApi() as api:
        chat = Chat(tmp_path, api, SETTINGS + OUTPUTS, ["--speed", "lockstep", "--bars", str(BARS - TURN - 10)])
        try:
            chat.until(lambda: any("paper on practice" in one for one in chat.texts()), "the life on paper")
            said = chat.texts()
            (left,) = [one for one in said if "Left band:" in one]
            assert "in the backtest" in left
            assert "chance below 1 in" in left
            (paper,) = [one for one in said if "paper on practice" in one]
            assert paper.startswith(
                "▶️ Started: bot runs, paper on practice: stepped down, scores of up_12_0bps_lightgbm"
            )
            assert "; the account holds " in paper
            assert said.index(left) < said.index(paper)
            chat.until(lambda: "expected" in scoreboard(chat), "what is expected")
            chat.stop()
            assert chat.home("paper-on-practice").is_dir()
            chat.begin()  # as an unattended restart does: not on the account again
            chat.until(lambda: sum("paper on practice" in one for one in chat.texts()) > 1, "paper again")
            assert sum("Left band:" in one for one in chat.texts()) == 1
        finally:
            chat.end()
