"""`itb optimize` on a small built-in market, through the command line."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from itb.config import load_config
from itb.errors import ConfigError, RunError
from itb.optimize.desk import Block, worker_name
from itb.runs.market import load_market
from itb.runs.model import score_ranges
from itb.runs.optimize import Asked, apply, optimize, walk_forward, worker
from itb.runs.search_build import first_bar
from itb.runs.search_space import applied, default_space, search_space
from itb.runs.study import open_study
from itb.runs.workspace import Workspace
from tests.runs.searched import SETTINGS, SPACE, workspace


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("optimize")


@pytest.fixture(scope="module")
def found(folder):
    return optimize(workspace(folder), Asked(trials=16)).data["studies"][0]


def test_every_trial_is_counted_and_the_best_confirmed(found):
    assert found["trials"] == found["complete"] + found["failed"] + found["pruned"] == 16
    assert found["verified"]
    assert found["compared"] == 3
    assert found["differences"] == []


def test_verdict_is_stored_as_it_was_told(found, folder):
    stored = json.loads((folder / "runs" / "studies" / found["study"] / "verdict.json").read_text())

    assert stored["verdict"] == found["verdict"]
    assert stored["verdict"]["word"] in {"trust", "weak", "overfit"}


def test_register_counts_each_trial_once_across_runs(found, folder):
    again = workspace(folder)
    looks = again.register.looks()
    assert sum(look.trials for look in looks) == 16

    more = optimize(again, Asked(more=4)).data["studies"][0]

    assert more["trials"] == 20
    assert more["study"] == found["study"]
    assert sum(look.trials for look in again.register.looks()) == 20
    assert more["verdict"]["trials_raw"] == 20


def test_second_run_to_the_same_number_adds_nothing(folder, found):
    again = optimize(workspace(folder), Asked(trials=8)).data["studies"][0]

    assert again["trials"] >= found["trials"]


def test_same_model_side_is_trained_once_across_runs(folder, found):
    trained = sorted((folder / "runs" / ".cache" / "walkforward").glob("*"))

    optimize(workspace(folder), Asked(trials=12, name="another"))

    assert sorted((folder / "runs" / ".cache" / "walkforward").glob("*")) == trained


def test_picked_settings_give_the_trial_that_was_picked(folder, found):
    from itb.runs.backtest import compute_outcome

    file = folder / "picked.toml"
    base = workspace(folder)
    base = Workspace(base.config.of(None, folder, base.config.origins))
    apply(base, Asked(), found["best"]["trial"], file)
    picked = load_config(file, environ={})

    outcome = compute_outcome(Workspace(picked), "BTC/USDT", "r")

    for name, value in found["best"]["parameters"].items():
        assert dict(_leaf(picked, name)) == {name: value}
    assert outcome.metrics.trades > 0


def _leaf(config, name):
    tables = config.plain()
    for key in name.split("."):
        tables = tables[key]
    yield name, tables


def test_walk_forward_trades_windows_that_no_proposal_knew(folder):
    told = walk_forward(workspace(folder), Asked(trials=8)).data["walk_forward"][0]

    assert [row["window"] for row in told["drift"]] == [2, 3, 4, 5]
    assert told["carried"]
    assert {"strategy.buy_threshold", "model.num_leaves"} <= set(told["drift"][-1])


def test_worker_helps_a_study_in_a_database(folder, tmp_path):
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    first = optimize(workspace(folder), Asked(trials=6, name="shared", storage=storage)).data["studies"][0]
    assert first["trials"] == 6

    said = worker(workspace(folder), Asked(trials=10, name="shared", storage=storage))

    assert said.data["trials"] == 10


def test_two_processes_share_a_study_and_double_nothing(folder):
    given = workspace(folder, "search.seed=9")
    told = optimize(given, Asked(trials=16, jobs=2)).data["studies"][0]

    assert told["trials"] == 16
    assert sum(look.trials for look in given.register.looks() if look.run_id.startswith(told["study"])) == 16


def test_search_waits_for_a_block_that_another_works_on(folder):
    """It would judge a study that is not full."""
    given = workspace(folder, "search.seed=11", "search.sampler=random")
    study = open_study(given, "BTC/USDT", Asked(trials=8))
    other = study.desk()
    living = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(2)"])
    other.owner = worker_name(living.pid)
    other.claim(lambda: Block(0, {"model.num_leaves": 4}, other.owner, other.clock()))

    told = optimize(given, Asked(trials=8)).data["studies"][0]

    assert living.wait() == 0
    assert told["trials"] == 8


SCRIPT = """
from pathlib import Path
from itb.config import load_config
from itb.runs.optimize import Asked, optimize
from itb.runs.workspace import Workspace
print("begun")
given = Workspace(load_config(overrides={settings!r}, environ={{}}))
print(optimize(given, Asked(trials=8, jobs=2)).data["studies"][0]["trials"])
"""


def test_helpers_do_not_run_the_script_again(folder, tmp_path):
    settings = [f"runs.root={folder / 'runs'}", *SETTINGS, *SPACE, "search.seed=12"]
    (tmp_path / "script.py").write_text(SCRIPT.format(settings=settings))

    told = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=True)

    assert (told.stdout, told.stderr) == ("begun\n8\n", "")


def test_other_data_under_the_same_name_is_refused(folder, found):
    with pytest.raises(RunError, match="study 'another': was begun with other data"):
        optimize(workspace(folder, "synthetic.bars=2990"), Asked(trials=2, name="another"))


def test_unreachable_constraint_is_told_in_one_line(folder):
    with pytest.raises(RunError, match=r"none of 4 trials keeps search.min_trades = 5000; the nearest misses it by"):
        optimize(workspace(folder, "search.min_trades=5000"), Asked(trials=4))


def test_grid_takes_every_combination(folder):
    points = "search.space.strategy.sell_threshold=[0.45, 0.48]"
    told = optimize(workspace(folder, "search.sampler=grid", points), Asked()).data["studies"][0]

    assert told["trials"] == 2 * 5 * 2


def test_holdout_needs_a_seal(folder):
    with pytest.raises(RunError, match=r"data.holdout_from is not set, so nothing is sealed"):
        optimize(workspace(folder), Asked(trials=4, name="another"), open_holdout=True)
    before = workspace(folder, "data.holdout_from=2023-04-15", "data.to=2023-04-15")
    with pytest.raises(RunError, match=r"data.to ends before data.holdout_from"):
        optimize(before, Asked(trials=4, name="another"), open_holdout=True)


def test_holdout_is_opened_once_and_recorded(tmp_path):
    sealed = workspace(tmp_path, "data.holdout_from=2023-04-15")

    told = optimize(sealed, Asked(trials=8), open_holdout=True).data["studies"][0]

    assert set(told["holdout"]) == {"sharpe", "total_return", "max_drawdown", "trades", "days", "note"}
    openings = sealed.register.holdout_openings()
    assert [opening.command for opening in openings] == ["optimize --open-holdout"]
    assert any(look.holdout_seen for look in sealed.register.looks())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "search.space.strategy.buy_tresh={low=1, high=2}",
            'strategy.buy_tresh: unknown key; did you mean "buy_threshold"',
        ),
        ("search.space.costs.taker_fee_bps=[1, 2]", "may vary neither the market nor what it costs"),
        ("search.space.model.num_leaves={low=9, high=3}", "low must not be above high, were 9 and 3"),
        ("search.space.model.num_leaves={low=1, high=3}", "model.num_leaves: must be at least 2, was 1"),
        ("search.space.model.num_leaves={low=4, hgih=8}", 'unknown key; did you mean "high"'),
        ("search.space.model.num_leaves=5", "expected a table with low and high, or choices; was 5"),
        ("search.space.label.horizon={low=4}", "high must be a number, was None"),
        ("search.space.strategy.buy_threshold={}", "low must be a number, was None"),
        ("search.space.model.num_leaves={low=4, high=8, points='x'}", "points must be a whole number, was 'x'"),
        ("search.space.strategy.stop_loss={low=0, high=1, step='x'}", "step must be a number, was 'x'"),
        ("search.space.strategy.stop_loss={low=0.1, high=1.0, log='x'}", "log must be true or false, was 'x'"),
        ("search.space.strategy.score=['nope']", 'strategy.score: unknown score "nope"; expected one of'),
        ("search.objectives=['sharp']", 'did you mean "sharpe"'),
        ("search.windows=900", "windows must be at least 2 and at most the"),
    ],
)
def test_wrong_spaces_are_named(settings, message, tmp_path):
    with pytest.raises(ConfigError) as refused:
        optimize(workspace(tmp_path, settings), Asked(trials=2))

    assert message in str(refused.value)


def test_conditional_settings_delay_the_first_day_as_they_do_where_they_hold(tmp_path):
    kinds = "search.space.calibration.method=['none', 'platt']"
    rows = "search.space.calibration.min_rows={low=100, high=300, when={'calibration.method'='platt'}}"
    searched = workspace(tmp_path, kinds, rows, "calibration.min_rows=50")
    fixed = workspace(tmp_path, "calibration.method=platt", "calibration.min_rows=300")
    market = load_market(searched, "BTC/USDT", run_id="r", command="c")

    first, slowest = (
        first_bar(one.config, market.bars, search_space(one.config, score_ranges(one.config)))
        for one in (searched, fixed)
    )

    assert slowest <= first < len(market.bars) - 1


def test_study_that_is_not_there_is_neither_helped_nor_applied(folder, found):
    for call in (worker, apply):
        with pytest.raises(RunError, match=rf"study 'nobody': not found in .*; there is .*{found['study']}"):
            call(workspace(folder), Asked(name="nobody"))
    assert not (folder / "runs" / "studies" / "nobody").exists()
    with pytest.raises(RunError, match="study 'nobody': not found; the storage has none yet"):
        worker(workspace(folder), Asked(name="nobody", storage=f"sqlite:///{folder / 'empty.db'}"))


def test_trials_of_an_opened_holdout_count_beside_those_of_the_search(tmp_path):
    sealed = workspace(tmp_path, "data.holdout_from=2023-04-15")
    optimize(sealed, Asked(trials=4), open_holdout=True)
    optimize(sealed, Asked(trials=8))

    counted = [look.trials for look in sealed.register.looks() if look.command == "optimize"]

    assert sum(counted) == 8


@pytest.mark.parametrize(
    ("call", "asked", "message"),
    [
        (walk_forward, Asked(more=3), "leave --more out"),
        (walk_forward, Asked(jobs=2), "leave --jobs out"),
        (optimize, Asked(name="x"), "2 symbols make as many; name one --symbol"),
    ],
)
def test_what_cannot_go_together_is_refused_before_anything_is_searched(call, asked, message, tmp_path):
    both = workspace(tmp_path, "data.symbols=['BTC/USDT', 'ETH/USDT']")

    with pytest.raises(RunError, match=message):
        call(both, asked)


def test_killed_search_leaves_no_helper_behind(tmp_path):
    """Nobody would tell an orphan to stop."""
    more = [f"runs.root={tmp_path / 'runs'}", *SETTINGS, *SPACE, "search.trade_sides=1", "search.sampler=random"]
    line = ["optimize", "--trials", "100000", "--jobs", "2", *(part for one in more for part in ("--set", one))]
    begun = subprocess.Popen(
        [sys.executable, "-c", "from itb.cli import main; main()", *line], stderr=subprocess.PIPE, text=True
    )
    helpers = []
    for _ in range(6_000):
        helpers = [one for one in _children(begun.pid) if "spawn_main" in _line(one)]
        if helpers and begun.poll() is None:
            break
        time.sleep(0.05)
    begun.kill()
    begun.communicate()

    assert helpers
    for _ in range(4_000):
        if not any("spawn_main" in _line(one) for one in helpers):
            return
        time.sleep(0.05)
    raise AssertionError("the helper goes on alone")


def _children(process):
    try:
        return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def _line(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


OWN = """
import backtrader as bt
class Eager(bt.Strategy):
    params = (("up", 0.52),)
    def next(self):
        pass
"""


def test_setting_that_an_own_strategy_does_not_have_is_named(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    named = [f"strategy.name={tmp_path / 'own.py'}:Eager", "search.space={'strategy.upp'={low=0.5, high=0.6}}"]

    with pytest.raises(ConfigError, match=r'search.space.strategy.upp: unknown key; did you mean "up"'):
        optimize(workspace(tmp_path, *named), Asked(trials=2))


def test_lists_and_tables_travel_through_a_space():
    features = '[[{family="default"}], [{family="time"}]]'
    config = load_config(overrides=[f"search.space.features={features}"], environ={})
    space = search_space(config, score_ranges(config))

    assert [applied(config, {"features": choice}).features[0].family for choice in space.model[0].choices] == [
        "default",
        "time",
    ]


def test_default_space_follows_the_scores_range():
    config = load_config(environ={})

    space = default_space(config, {"up": (-1.0, 1.0)})

    assert space["strategy.buy_threshold"] == {"low": 0.0, "high": 0.3}
    assert space["walkforward.train"]["choices"] == [2160, 4320]


def test_score_without_bounds_needs_named_thresholds():
    config = load_config(overrides=["model.algorithm=lightgbm_regression"], environ={})

    with pytest.raises(ConfigError, match="has no bounds, so there is no default for its thresholds"):
        default_space(config, {"r": (float("-inf"), float("inf"))})
