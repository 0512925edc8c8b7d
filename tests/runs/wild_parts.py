"""Parts of a user's own that fail at appointed minutes of a replay; named in ``[plugins]`` by the tests beside it."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from itb.indicators.user_feature import user_feature
from itb.mlmodels.algorithms import ALGORITHMS
from itb.mlmodels.registry import check_model, save_model
from itb.mlmodels.timeline import ModelTimeline
from itb.strategies.base import Strategy

BEGINS, MINUTE = 1_672_531_200_000 + 1_940 * 60_000, 60_000  # open time of the first live bar
RAISES, MUTE, WRONG, STUCK, FEATURE = {4, 5, 6}, {9, 10, 11}, {14, 15, 16}, 20, {28, 29, 30}
released = {"strategy": threading.Event(), "model": threading.Event()}
MOST_S = 120.0


def minute_of(data: Any) -> int:
    """Which bar of the replay it is."""
    return (int(data.bars.open_time[len(data) - 1]) - BEGINS) // MINUTE


class Watcher(Strategy):
    """Lets go of what is stuck, and harms files where it is told to; trades nothing."""

    params: Any = (("harms", False),)

    def next(self) -> None:
        minute = minute_of(self.data)
        if self.data.bars.symbol == "BTC/USDT" or not self.p.harms:
            return
        if minute == 24:
            released["model"].set()
        elif minute == 30:
            spoil_a_refit()
        elif minute == 32:  # the other coin has seen it at 31 at the latest
            file = refit_file()
            file.write_bytes(file.read_bytes()[:-1])
        elif minute == 34:  # it has seen it mended at 33 at the latest, and asks it from 35 on
            refit_file().unlink()


def timeline_file() -> Path:
    (found,) = Path(__file__).parent.glob("runs/live/bot-practice/models/btcusdt-*/models/up_moody/timeline.json")
    return found


def spoil_a_refit() -> None:
    """Let another model speak from minute 35 on, whose file is not what it says it is."""
    file = timeline_file()
    timeline = ModelTimeline.load(file)
    last = timeline.entries[-1]
    folder = (file.parent / last.file).parent
    manifest, _ = check_model(file.parent / last.file)
    name = save_model(MoodyModel("late"), Moody(), manifest, folder)
    known_at, file_name = BEGINS + 30 * MINUTE, str(Path(last.file).with_name(name))
    entry = replace(last, known_at=known_at, trained_until=known_at, speaks_from=BEGINS + 35 * MINUTE, file=file_name)
    spoiled = model_file(file.parent / file_name)
    spoiled.write_bytes(spoiled.read_bytes() + b" ")
    timeline.appended(entry).save(file)


def refit_file() -> Path:
    """The model that speaks last."""
    file = timeline_file()
    return model_file(file.parent / ModelTimeline.load(file).entries[-1].file)


def model_file(manifest: Path) -> Path:
    return manifest.with_name(json.loads(manifest.read_text())["file"])


class Raises(Strategy):
    def next(self) -> None:
        minute = minute_of(self.data)
        if minute == 16:
            released["strategy"].set()
        if minute in {5, 6, 7, 8, 20}:
            self.buy(size=0.001)
        if minute in {5, 6, 7, 8}:
            raise ZeroDivisionError("on purpose")


class Blocks(Strategy):
    def next(self) -> None:
        minute = minute_of(self.data)
        if self.data.bars.symbol == "BTC/USDT" and minute in {10, 30}:
            self.buy(size=0.001)
            assert released["strategy"].wait(MOST_S)


class Floods(Strategy):
    def next(self) -> None:
        for _ in range(50):
            self.buy(size=0.001)


class Dies(Strategy):
    def next(self) -> None:
        if minute_of(self.data) == 3:
            self.buy(size=0.001)
            raise SystemExit("no strategy any more")


@user_feature(warmup=1, names=("move", "minute", "coin"))
def clockwork(bars, mood: str = "good"):
    """How the close moved, which minute it is, which coin it is."""
    minutes = (bars.open_time - BEGINS) // MINUTE
    coin = float(bars.symbol == "BTC/USDT")
    if mood == "bad" and coin and int(minutes[-1]) in FEATURE:
        raise ZeroDivisionError("no feature today")
    moves = np.diff(bars.close, prepend=np.nan) / bars.close
    return np.column_stack([moves, minutes, np.full(len(minutes), coin)])


@dataclass(frozen=True)
class MoodyModel:
    """Scores the last move; in a bad mood it fails for one of two coins."""

    mood: str
    note: str = ""

    @property
    def importance(self):
        return np.zeros(3)

    def predict(self, features):
        scores = 1 / (1 + np.exp(-2_000 * features[:, 0].astype(np.float64)))
        minute, is_btc = int(features[-1, 1]), features[-1, 2] == 1
        if self.mood == "good" or not is_btc or len(features) > 1:
            return scores
        if minute in RAISES:
            raise ZeroDivisionError("no score today")
        if minute == STUCK:
            assert released["model"].wait(MOST_S)
        return np.full(1, np.nan) if minute in MUTE else np.full(1, 7.0) if minute in WRONG else scores

    def to_bytes(self):
        return json.dumps({"mood": self.mood}).encode()


@dataclass(frozen=True)
class Moody:
    mood: str = "good"

    name = "moody"
    is_classifier = True
    score_range = (0.0, 1.0)
    suffix = ".moody"

    def fit(self, features, labels, seed, weights=None):
        return MoodyModel(self.mood)

    def load(self, content):
        return MoodyModel(json.loads(content)["mood"])


learn: Any = ALGORITHMS
learn["moody"] = Moody
