"""What goes wrong in models, features and strategies of a running bot stays where it is, and is told once.

Three short lives on the practice exchange in lock-step: one in which all is well, one with wild strategies beside the
good one, one in which the model and the feature of one of two coins fail in every way that there is. What was not
concerned must have traded in each of them to the last digit as in the first.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from itb.config import load_config
from itb.errors import ModelError
from itb.live.journal.store import Journal
from itb.live.orders.book import Book
from itb.live.run.event_log import read_events
from itb.mlmodels.algorithms import ALGORITHMS
from itb.runs.live import Launch, bot_folder, live
from itb.runs.practice import Rehearsal
from itb.runs.workspace import Workspace
from tests.runs.exchanges import end_exchanges

PLUGIN = Path(__file__).with_name("wild_parts.py")
BARS, REPLAYED, MINUTE = 40, 60, 60_000
BTC, ETH = "BTC/USDT", "ETH/USDT"


@dataclass(frozen=True)
class Life:
    """What is left of a bot's life."""

    folder: Path
    said: Any

    def events(self) -> list[dict[str, Any]]:
        return list(read_events(self.folder / "events.jsonl"))

    def troubles(self) -> dict[str, tuple[int, int]]:
        """How often each trouble was told, and how often that it is over."""
        began = Counter(one["key"] for one in self.events() if one["event"] in {"DEGRADED", "HALTED"})
        over = Counter(one["key"] for one in self.events() if one["event"] in {"RECOVERED", "RESUMED"})
        return {key: (count, over[key]) for key, count in began.items()}

    def text(self, key: str) -> str:
        return next(str(one["text"]) for one in self.events() if one.get("key") == key)

    def orders(self, strategy: str = "good") -> dict[str, list[tuple[Any, ...]]]:
        """What a strategy asked for, and what became of it, by symbol."""
        with Journal(self.folder / "journal.sqlite") as journal:
            book = Book().replay(journal.events())
        assert book.alarms == []
        found: dict[str, list[tuple[Any, ...]]] = {BTC: [], ETH: []}
        for order in book.orders.values():
            intent = order.intent
            if intent.strategy == strategy:
                told = (intent.bar_time, intent.side, intent.qty, str(order.phase), order.filled)
                found[intent.symbol].append(told)
        return found

    def minutes(self, symbol: str, strategy: str = "good") -> list[int]:
        """At which bars of the replay it asked for something."""
        begins = min(int(one["bar"]) for one in self.events() if one["event"] == "TICK")
        return [(told[0] - begins) // MINUTE for told in self.orders(strategy)[symbol]]


def place(root: Path, *strategies: str, mood: str = "good", patience: str = "15s") -> Workspace:
    """A bot with these strategies beside the good one; each that blocks costs the test its patience once."""
    root.mkdir(exist_ok=True)
    shutil.copy(PLUGIN, root)
    parts = ", ".join(strategies)
    settings = [
        "data.timeframe=1m", f"data.symbols=['{BTC}', '{ETH}']", "synthetic.bars=2000",
        f"plugins.files=['{PLUGIN.name}']",
        f"features=[{{family='wild_parts:clockwork', mood='{mood}'}}]", "label={horizon=3, threshold=0.0, alias='up'}",
        f"model={{algorithm='moody', mood='{mood}'}}", "walkforward={train=900, refit_every=1000, workers=1}",
        "walkforward.min_train_rows=100", "strategy.buy_threshold=0.5", "strategy.sell_threshold=0.49",
        "live.retrain=false", f"live.decide_within={patience}",
        f"live.strategies=[{{called='good', allocation=0.5}}, {parts}]",
        f"runs.root={root / 'runs'}",
    ]  # fmt: skip
    return Workspace(load_config(None, settings, folder=root))


def lived(workspace: Workspace, bars: int = BARS) -> Life:
    launch = Launch(is_paper=False, rehearsal=Rehearsal(speed="lockstep", bars=REPLAYED), bars=bars)
    said = live(workspace, launch, lambda _line: None)
    return Life(bot_folder(workspace, launch), said.data)


WATCHER = "{called='watcher', name='wild_parts:Watcher', allocation=0.5}"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("contained")
    yield folder
    cast("dict[str, object]", ALGORITHMS).pop("moody", None)  # the plugin's own; other tests hold the table complete
    end_exchanges(folder)


@pytest.fixture(scope="module")
def well(root: Path) -> Life:
    return lived(place(root / "well", WATCHER, patience="60s"))


def test_without_trouble_nothing_is_told(well: Life) -> None:
    assert well.troubles() == {}
    assert all(len(told) > 5 for told in well.orders().values())


def test_strategies_that_raise_block_flood_or_die_leave_the_good_one_alone(well: Life, root: Path) -> None:
    wild = (f"{{called='{name.lower()}', name='wild_parts:{name}'}}" for name in ("Raises", "Blocks", "Floods", "Dies"))
    life = lived(place(root / "wild", *wild))
    assert life.orders() == well.orders()
    assert life.troubles() == {
        **{f"raises on {symbol}: next": (1, 1) for symbol in (BTC, ETH)},
        **{f"floods on {symbol}: next": (1, 0) for symbol in (BTC, ETH)},
        **{f"dies on {symbol}: ended": (1, 0) for symbol in (BTC, ETH)},
        f"blocks on {BTC}: slow": (1, 1),
    }
    assert "ZeroDivisionError in next: on purpose" in life.text(f"raises on {BTC}: next")
    assert "more than 20 orders in one call" in life.text(f"floods on {ETH}: next")
    assert "has ended by SystemExit: no strategy any more" in life.text(f"dies on {ETH}: ended")
    assert life.said["status"]["health"] == "DEGRADED"
    for name in ("floods", "dies"):
        assert life.orders(name) == {BTC: [], ETH: []}
    assert life.minutes(BTC, "raises") == [20]  # it raised at 5 to 8, with an order each time
    assert life.minutes(BTC, "blocks") == [30]  # it was at its bar from 10 until the market was at 16
    blocked = [one for one in life.events() if one["event"] == "TICK" and one["symbol"] == ETH]
    assert len(blocked) == BARS


def test_a_model_and_a_feature_that_fail_cost_their_own_scores(well: Life, root: Path) -> None:
    life = lived(place(root / "moody", WATCHER.replace("}", ", harms=true}"), mood="bad"))
    assert life.orders()[ETH] == well.orders()[ETH]
    silent = {4, 5, 6, 9, 10, 11, 14, 15, 16, *range(20, 24), 28, 29, 30, *range(35, BARS)}
    asked = set(life.minutes(BTC))
    assert not asked & silent
    assert len(asked) >= 4
    column = f"{BTC}: up_moody"
    assert life.troubles() == {
        f"{column}: model": (4, 3),  # raises, no number, out of range; then a file that is gone
        f"good on {BTC}: slow": (1, 1),
        f"{BTC}: features": (1, 1),
        f"{column}: refresh": (1, 1),  # a refit came whose file was altered; it was mended later
    }
    assert "ZeroDivisionError: no feature today" in life.text(f"{BTC}: features")
    assert "was altered" in life.text(f"{column}: refresh")
    told = [one["text"] for one in life.events() if one.get("key") == f"{column}: model"][::2]
    why = ("no score today", "gives no number", "says 7, declared is 0 to 1", "No such file")
    assert all(part in text for part, text in zip(why, told, strict=True))


def test_damaged_models_at_a_start_cost_their_symbol_and_without_any_there_is_none(root: Path) -> None:
    workspace = place(root / "damaged", WATCHER, patience="60s")
    life = lived(workspace, bars=8)
    before = {symbol: len(told) for symbol, told in life.orders().items()}
    for symbol in ("btcusdt", "ethusdt"):
        (home,) = (life.folder / "models").glob(f"{symbol}-*")
        for file in home.rglob("*.moody"):
            file.unlink()
        if symbol == "btcusdt":
            lived(workspace, bars=8)
    assert life.troubles() == {f"{BTC}: up_moody: model": (1, 0)}
    assert len(life.orders()[BTC]) == before[BTC]
    assert len(life.orders()[ETH]) > before[ETH]
    told = json.dumps(life.events())
    with pytest.raises(ModelError, match=r"no model is whole\. To train .*: rm -r \S+/models && itb live --practice$"):
        lived(workspace, bars=2)
    assert '"START"' not in json.dumps(life.events()).removeprefix(told[:-1])
