"""`itb check` holds on honest parts, and catches every leak that is planted into a config's parts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from itb.config import load_config
from itb.config.sections import FeaturePart
from itb.errors import ConfigError, StrategyError
from itb.indicators.feature_set import FEATURES
from itb.mlmodels.labels import LABELS, FutureReturn, LabelColumn
from itb.mlmodels.splits import Block
from itb.mlmodels.walkforward import WalkForward
from itb.runs.laws import check
from itb.runs.workspace import Workspace

SMALL = (
    "synthetic.bars=800",
    "features=[{family='series', inputs=['log_return'], lags=[0, 1, 2]}]",
    "model.algorithm=logistic",
    "walkforward.train=300",
    "walkforward.refit_every=100",
    "walkforward.min_train_rows=50",
    "walkforward.workers=1",
)


@pytest.fixture
def checked(tmp_path):
    """Run `itb check` on a small synthetic market with some settings on top."""

    def run(*settings, **more):
        config = load_config(overrides=[*SMALL, *settings], folder=tmp_path, environ={})
        return check(Workspace(config, **more))

    return run


@pytest.fixture
def strategy_file(tmp_path):
    def write(body, head=""):
        text = f"import random\n\nimport backtrader as bt\n\nfrom itb.indicators.score import MLScore\n{head}\n\n"
        (tmp_path / "own.py").write_text(f"{text}class Own(bt.Strategy):\n{body}")
        return f"strategy.name={tmp_path / 'own.py'}:Own"

    return write


def verdicts(said, law):
    return {check["subject"]: check["verdict"] for check in said.data["checks"] if check["law"] == law}


def broken(said):
    assert said.found
    assert said.lines[0].startswith("BROKEN on BTC/USDT 1h (synthetic): ")
    return {check["law"] for check in said.data["checks"] if check["verdict"] == "BROKEN"}


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """Give what a check of honest parts says, the progress it told, and its project folder."""
    folder, heard = tmp_path_factory.mktemp("honest"), []
    config = load_config(overrides=SMALL, folder=folder, environ={})
    said = check(Workspace(config, progress=lambda done, total, what: heard.append((done, total, what))))
    return said, heard, folder


def test_honest_parts_keep_every_law_and_one_line_says_what_was_proved(honest):
    said, _, _ = honest
    assert not said.found
    (line,) = said.lines
    assert line.startswith("16 checks hold on BTC/USDT 1h (synthetic): 3 feature columns, label and model up_12_0bps_")
    assert line.endswith("logistic, MLThreshold.")
    assert {check["law"] for check in said.data["checks"]} == {
        "causal", "warmup", "batch = step", "parity", "no leak", "money", "reproducible"
    }  # fmt: skip
    assert said.table.columns == ("law", "subject", "verdict", "evidence")
    assert len(said.table.rows) == 16


def test_progress_is_told_step_by_step(honest):
    _, heard, _ = honest
    assert heard == [*((done, 4, "checking the laws on BTC/USDT") for done in range(4)), (4, 4, "checking the laws")]


def test_a_check_looks_at_no_figure_and_leaves_no_line_in_the_register(honest):
    _, _, folder = honest
    assert list(folder.iterdir()) == []


def test_a_check_stops_before_the_hold_out(checked):
    said = checked("data.holdout_from=2023-01-28")
    evidence = next(check["evidence"] for check in said.data["checks"] if check["law"] == "money")
    assert f"every one of {27 * 24} bars" in evidence


# -- planted leaks


@dataclass(frozen=True)
class Planted:
    """A feature family with a leak, and an honest column beside it."""

    leak: str = "centred"
    warmup: int = 30

    @property
    def names(self):
        return ("honest", self.leak)

    def __call__(self, bars):
        close = bars.close
        moved = np.append(np.nan, np.diff(np.log(close)))
        leaks = {
            "centred": np.convolve(close, np.ones(5) / 5, mode="same") / close - 1,
            "scaled": (moved - np.nanmean(moved)) / np.nanstd(moved),
            "label": np.nan_to_num(FutureReturn(12)(bars).values),
        }
        return np.column_stack([moved, leaks[self.leak]])


@pytest.mark.parametrize("leak", ["centred", "scaled", "label"])
def test_a_feature_that_knows_later_bars_is_caught_by_name(leak, checked, monkeypatch):
    monkeypatch.setitem(FEATURES, "planted", Planted)
    said = checked(f"features=[{{family='planted', leak='{leak}'}}]")
    assert "causal" in broken(said)
    assert verdicts(said, "causal")[leak] == "BROKEN"
    assert verdicts(said, "causal")["planted: 1 other columns"] == "holds"


def test_a_leak_in_a_file_of_the_project_is_caught(checked, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("""
from dataclasses import dataclass

import numpy as np

from itb.indicators.feature_set import FEATURES


@dataclass(frozen=True)
class Tomorrow:
    warmup: int = 0
    names: tuple[str, ...] = ("tomorrow",)

    def __call__(self, bars):
        return np.append(bars.close[1:], bars.close[-1])[:, np.newaxis] / bars.close[:, np.newaxis] - 1


FEATURES["tomorrow"] = Tomorrow
""")
    monkeypatch.setitem(FEATURES, "tomorrow", Planted)  # so that it is taken out again
    said = checked("plugins.files=['mine.py']", "features=[{family='tomorrow'}]")
    assert verdicts(said, "causal")["tomorrow"] == "BROKEN"


@dataclass(frozen=True)
class Misshapen:
    """Gives a row too few on short histories."""

    warmup: int = 3
    names: tuple = ("short",)

    def __call__(self, bars):
        return bars.close[: None if len(bars) > 500 else -1, np.newaxis]


def test_a_feature_that_fails_on_some_bars_is_a_finding(checked, monkeypatch):
    monkeypatch.setitem(FEATURES, "short", Misshapen)
    said = checked("features=[{family='short'}]")
    assert verdicts(said, "warmup")["short"] == "BROKEN"
    assert "it fails on some of the bars: short must give one row per bar, gave shape (3, 1) for 4 bars" in str(
        said.data
    )


@dataclass(frozen=True)
class Endless:
    """The sum of all returns so far: it never forgets where the history began."""

    warmup: int = 10
    names: tuple = ("endless",)

    def __call__(self, bars):
        values = np.cumsum(bars.close / bars.open - 1)[:, np.newaxis]
        values[: self.warmup] = np.nan
        return values


def test_a_feature_that_understates_its_warm_up_is_caught(checked, monkeypatch):
    monkeypatch.setitem(FEATURES, "endless", Endless)
    said = checked("features=[{family='endless'}]")
    assert broken(said) == {"warmup"}
    assert verdicts(said, "warmup")["endless"] == "BROKEN"


@dataclass(frozen=True)
class Hasty:
    """A label that claims to be known six bars too early."""

    horizon: int = 12
    name: str = "hasty"
    is_binary: bool = True

    def __call__(self, bars):
        honest = FutureReturn(self.horizon, 0.0)(bars)
        return LabelColumn(honest.values, np.where(honest.known_at >= 0, honest.known_at - 6, -1))


def test_a_label_that_lies_about_when_it_is_known_is_caught(checked, monkeypatch):
    monkeypatch.setitem(LABELS, "hasty", Hasty)
    said = checked("label={kind='hasty'}")
    assert "no leak" in broken(said)
    assert verdicts(said, "no leak")["hasty"] == "BROKEN"


def test_an_unpurged_fold_is_caught_by_the_audit_and_by_noise(checked, monkeypatch):
    def unpurged(block, known_at):
        rows = np.arange(block.train_start, block.fit_bar + 1)
        return rows[known_at[rows] >= 0]

    monkeypatch.setattr(Block, "training_rows", unpurged)
    said = checked()
    assert "no leak" in broken(said)
    assert verdicts(said, "no leak")["walk-forward"] == "BROKEN"
    evidence = " ".join(check["evidence"] for check in said.data["checks"] if check["verdict"] == "BROKEN")
    assert "whose label is known at row" in evidence
    assert "are noise" in evidence


def test_a_shifted_score_is_caught_by_noise(checked, monkeypatch):
    honest = WalkForward.run

    def shifted(self, *args, **kwargs):
        result = honest(self, *args, **kwargs)
        return dataclasses.replace(result, scores=np.append(result.scores[1:], np.nan))

    monkeypatch.setattr(WalkForward, "run", shifted)
    said = checked()
    assert broken(said) == {"no leak"}
    assert any("changes from" in check["evidence"] for check in said.data["checks"] if check["verdict"] == "BROKEN")


PEEKS = {
    "the next close": """
    def next(self):
        if len(self.data) < self.data.buflen() and self.data.close[1] > self.data.close[0]:
            if not self.position:
                self.buy(size=0.01)
        elif self.position:
            self.close()
""",
    "an array of all closes": """
    def __init__(self):
        self.best = self.data.bars.close.argmax()

    def next(self):
        if not self.position and len(self.data) <= self.best:
            self.buy(size=0.01)
        elif self.position and len(self.data) > self.best:
            self.close()
""",
    "later scores": """
    def __init__(self):
        self.known = MLScore(self.data).source.batch()

    def next(self):
        bar = len(self.data)
        if bar < len(self.known) and self.known[bar] > 0.5:
            if not self.position:
                self.buy(size=0.01)
        elif self.position:
            self.close()
""",
    "the close after the last one": """
    def next(self):
        if self.data.close[1] > self.data.close[0] and not self.position:
            self.buy(size=0.01)
""",
}


@pytest.mark.parametrize("what", PEEKS)
def test_a_strategy_that_peeks_is_caught(what, checked, strategy_file):
    said = checked(strategy_file(PEEKS[what]))
    assert "causal" in broken(said)
    assert verdicts(said, "causal")["Own"] == "BROKEN"


def test_an_indicator_of_a_strategy_that_peeks_is_caught(checked, strategy_file):
    ahead = strategy_file("""
    def __init__(self):
        self.rise = self.data.close(1) - self.data.close

    def next(self):
        if self.rise[0] > 0 and not self.position:
            self.buy(size=0.01)
        elif self.rise[0] < 0 and self.position:
            self.close()
""")
    assert {"batch = step", "causal", "parity"} <= broken(checked(ahead))


def test_a_strategy_that_throws_dice_is_caught_and_not_accused_of_more(checked, strategy_file):
    dice = strategy_file("""
    def next(self):
        if random.random() < 0.1:
            self.buy(size=0.01)
""")
    said = checked(dice)
    assert broken(said) == {"reproducible"}
    assert verdicts(said, "causal")["Own"] == "not checked"


# -- what cannot be proved is said


def test_a_strategy_without_scores_is_checked_without_training(checked, strategy_file):
    average = strategy_file("""
    params = (("period", 20),)

    def __init__(self):
        self.above = self.data.close > bt.indicators.SMA(self.data, period=self.p.period)

    def next(self):
        if self.above[0] and not self.position:
            self.buy(size=0.01)
        elif not self.above[0] and self.position:
            self.close()
""")
    said = checked(average, "strategy.period=10")
    assert not said.found
    assert verdicts(said, "no leak")["up_12_0bps_logistic"] == "not checked"
    assert "Own reads no score" in str(said.data["checks"])
    assert verdicts(said, "batch = step")["Own"] == "holds"
    assert verdicts(said, "parity")["Own"] == "holds"
    assert said.lines[0].endswith("Own; 1 not checked, see above.")


def test_a_strategy_whose_scores_leave_it_idle_is_tried_on_scores_that_wander(checked):
    said = checked("strategy.buy_threshold=0.95", "strategy.sell_threshold=0.05")
    assert not said.found
    evidence = next(c["evidence"] for c in said.data["checks"] if (c["law"], c["subject"]) == ("causal", "MLThreshold"))
    assert evidence.endswith("(on made-up scores: its model's led to hardly an order)")


def test_made_up_scores_reach_the_thresholds_of_a_regression(checked):
    said = checked(
        "label={kind='future_return', horizon=6}",
        "model.algorithm=linear",
        "strategy.buy_threshold=0.001",
        "strategy.sell_threshold=-0.001",
    )
    assert not said.found
    assert verdicts(said, "money") == {"MLThreshold": "holds"}


def test_flags_that_stay_down_are_tried_up(checked):
    said = checked(
        "signals=[{kind='threshold_rule', columns='up_12_0bps_logistic', names=['buy', 'sell'], "
        "buy_signal_threshold=2.0, sell_signal_threshold=-2.0}]",
        "strategy={name='SignalStrategy', buy_column='buy', sell_column='sell'}",
    )
    assert not said.found
    for law in ("causal", "parity", "money"):
        assert verdicts(said, law)["SignalStrategy"] == "holds"


def test_a_strategy_that_never_trades_proves_nothing(checked, strategy_file):
    said = checked(strategy_file("    pass\n"))
    assert not said.found
    assert verdicts(said, "causal")["Own"] == "not checked"
    assert "it sent no order on 800 bars" in str(said.data["checks"])


def test_too_few_bars_for_a_law_are_said(checked):
    said = checked("synthetic.bars=100", "features=[{family='talib', functions=['EMA'], windows=[24]}]")
    assert not said.found
    assert set(verdicts(said, "warmup").values()) >= {"not checked"}
    assert verdicts(said, "no leak")["walk-forward"] == "not checked"
    assert verdicts(said, "no leak")["up_12_0bps_logistic"] == "not checked"


def test_a_strategy_that_fails_is_one_clear_error(checked, strategy_file):
    with pytest.raises(StrategyError, match=r"Own: ZeroDivisionError: division by zero \(in next, own.py line \d+\)"):
        checked(strategy_file("    def next(self):\n        1 / 0\n"))


def test_a_threshold_outside_the_score_s_range_is_a_config_error(checked):
    with pytest.raises(ConfigError, match=r"strategy.buy_threshold: must lie in the score's range \[0, 1\], was 2"):
        checked("strategy.buy_threshold=2.0")


def test_feature_families_are_named_as_in_the_config(checked):
    said = checked("features=[{family='series', inputs=['body']}, {family='series', inputs=['range', 'gap']}]")
    assert list(verdicts(said, "warmup"))[:2] == ["body", "series: 2 columns"]
    assert FeaturePart.model_validate({"family": "series"}).chosen == "series"
