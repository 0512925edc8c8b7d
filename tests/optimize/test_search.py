import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from itb.errors import ModelError, RunError
from itb.optimize.desk import Block, Record, open_desk, stored_plan, worker_name
from itb.optimize.journal import journal_storage
from itb.optimize.objectives import OBJECTIVES, Constraints
from itb.optimize.proposals import SAMPLERS, Known, proposer
from itb.optimize.search import Worker, best_of
from itb.optimize.space import Choice, FloatRange, Space

RESUMABLE = ("random", "qmc", "tpe", "cmaes", "nsga2", "grid")
SCRIPT = Path(__file__).with_name("killed_search.py")


@pytest.mark.parametrize("sampler", RESUMABLE)
def test_resumed_search_is_the_uninterrupted_one(sampler, studies, tmp_path):
    whole = studies.run(tmp_path / "whole", 40, sampler)
    for total in (3, 17, 18, 40):
        pieces = studies.run(tmp_path / "pieces", total, sampler)
        assert len(pieces) == total

    assert studies.told(pieces) == studies.told(whole)


@pytest.mark.parametrize("sampler", RESUMABLE)
def test_same_seed_same_trials_and_another_seed_others(sampler, studies, tmp_path):
    one, same, other = (
        studies.told(studies.run(tmp_path / name, 15, sampler, seed=seed))
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )

    assert one == same
    assert (one != other) is (sampler != "grid")


def test_trials_of_a_block_share_their_model_side(studies, tmp_path):
    records = studies.run(tmp_path, 23)

    sides = {record.block: {k: v for k, v in record.parameters.items() if k.startswith("model.")} for record in records}
    assert len(sides) == 5
    for record in records:
        assert sides[record.block].items() <= dict(record.parameters).items()
        assert record.slot // 5 == record.block


def test_each_model_side_is_built_once(studies, tmp_path):
    built = []

    def build(parameters):
        built.append(parameters)
        return studies.build(parameters)

    searched = studies.search()
    Worker(searched, studies.desk(tmp_path, searched), build).work(25)

    assert len(built) == 5


def test_grid_visits_every_point_once(studies, tmp_path):
    space = Space(
        model=(Choice("model.learning_rate", (0.1, 0.2)),), trade=(FloatRange("strategy.buy_threshold", 0.5, 0.7),)
    )
    searched = studies.search("grid", space=space)
    opened = studies.desk(tmp_path, searched)
    Worker(searched, opened, studies.build).work(searched.grid_size())

    points = [tuple(record.parameters.values()) for record in opened.records()]
    assert points == [(rate, buy) for rate in (0.1, 0.2) for buy in space.trade[0].grid()]


def test_grid_that_nobody_could_walk_is_refused_with_its_size(studies):
    wide = Space(trade=tuple(FloatRange(f"strategy.s{number}", 0, 1) for number in range(9)))

    with pytest.raises(ValueError, match="the grid has up to 1,953,125 points, at most 1,000,000 can be walked"):
        studies.search("grid", space=wide)
    assert studies.search("qmc", space=wide).sampler == "qmc"


def test_tpe_finds_more_than_chance(studies, tmp_path):
    best = {name: best_of(studies.run(tmp_path / name, 100, name), OBJECTIVES["sharpe"]) for name in ("random", "tpe")}
    tpe = studies.run(tmp_path / "tpe", 100, "tpe")
    late = [abs(record.parameters["strategy.buy_threshold"] - 0.6) for record in tpe[60:]]

    assert np.mean(late) < 0.04  # uniform would be 0.05
    assert best["tpe"].values >= best["random"].values or np.mean(late) < 0.03


def test_model_side_that_cannot_be_trained_counts_as_failed_trials(studies, tmp_path):
    def build(parameters):
        raise ModelError("too few rows")

    searched = studies.search()
    worker = Worker(searched, studies.desk(tmp_path, searched), build)
    worker.work(7)

    records = worker.desk.records()
    assert [record.state for record in records] == ["failed"] * 7
    assert {record.reason for record in records} == {"too few rows"}
    assert worker.notes == ["model side 0: too few rows", "model side 1: too few rows"]


def test_settings_that_cannot_be_count_as_failed(studies, tmp_path):
    class Refusing:
        def trade(self, parameters, *, until_day=None):
            raise ValueError("buy_threshold must be above sell_threshold")

    searched = studies.search()
    worker = Worker(searched, studies.desk(tmp_path, searched), lambda _: Refusing())
    worker.work(2)

    assert [record.reason for record in worker.desk.records()] == ["buy_threshold must be above sell_threshold"] * 2


def test_undefined_objective_is_told_and_kept_out_of_the_ranking(studies, tmp_path):
    records = studies.run(tmp_path, 6, objectives=(OBJECTIVES["profit_factor"],), trade_sides=2)
    flat = Record(0, 0, {}, "failed", None)

    assert all(record.is_feasible for record in records)
    assert not flat.is_feasible
    assert best_of([flat], OBJECTIVES["sharpe"]) is None


def test_unreachable_constraint_leaves_nobody_to_choose(studies, tmp_path):
    records = studies.run(tmp_path, 12, constraints=Constraints(min_trades=10_000))

    assert [record.state for record in records] == ["complete"] * 12
    assert best_of(records, OBJECTIVES["sharpe"]) is None


def test_pruning_stops_the_worst_and_resumes_the_same(studies, tmp_path):
    whole = studies.run(tmp_path / "whole", 60, "random", prune=True)
    for total in (23, 60):
        pieces = studies.run(tmp_path / "pieces", total, "random", prune=True)

    pruned = [record for record in whole if record.state == "pruned"]
    assert 5 <= len(pruned) <= 30
    assert pruned[0].reason.startswith("pruned after")
    assert {len(record.performance.daily) for record in pruned} == {40, 80}
    assert not any(record.is_measured or record.is_feasible for record in pruned)
    assert studies.told(pieces) == studies.told(whole)


def test_several_objectives_are_all_kept(studies, tmp_path):
    objectives = (OBJECTIVES["sharpe"], OBJECTIVES["max_drawdown"])

    records = studies.run(tmp_path, 20, "nsga2", objectives=objectives)

    assert {len(record.values) for record in records} == {2}


def test_stop_is_obeyed_between_trials_and_loses_nothing(studies, tmp_path):
    searched = studies.search("random")
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 8

    worker = Worker(searched, studies.desk(tmp_path, searched), studies.build, stop=stop)
    worker.work(40)
    assert 0 < len(worker.desk.records()) < 10

    assert studies.told(studies.run(tmp_path, 40, "random")) == studies.told(studies.run(tmp_path / "b", 40, "random"))


def test_other_space_or_data_under_the_same_name_is_refused(studies, tmp_path):
    studies.run(tmp_path, 2)
    storage = journal_storage(tmp_path / "journal.log")
    other = {"space": studies.SPACE.plain(), "data": "e"}

    with pytest.raises(
        RunError, match=r"study 'study': was begun with other data \(\"d\"\) than is asked for \(\"e\"\)"
    ):
        open_desk(storage, "study", other, studies.SPACE, directions=["maximize"])
    assert stored_plan(storage, "study")[0]["data"] == "d"
    with pytest.raises(RunError, match="study 'nobody': not found; the storage has study"):
        stored_plan(storage, "nobody")


def test_dead_process_that_nobody_waited_for_is_dead():
    begun = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    alive = worker_name(begun.pid)
    begun.kill()
    os.waitid(os.P_PID, begun.pid, os.WEXITED | os.WNOWAIT)

    assert worker_name(begun.pid) != alive
    begun.communicate()


def test_slow_trials_tell_that_their_worker_is_alive(studies, tmp_path):
    searched = studies.search("random")
    opened = studies.desk(tmp_path, searched)
    now = [1_000.0]
    opened.clock = lambda: now[0]
    ages = []

    class Slow(studies.Pretended):
        def trade(self, parameters, *, until_day=None):
            now[0] += 50.0
            ages.append(now[0] - opened.blocks()[0].beat)
            return super().trade(parameters, until_day=until_day)

    Worker(searched, opened, lambda _: Slow(0.1)).work(5)

    assert max(ages) == 50.0


def test_trial_found_twice_counts_once(studies, tmp_path):
    searched = studies.search()
    opened = studies.desk(tmp_path, searched)
    record = searched.judge(
        0,
        0,
        {"strategy.buy_threshold": 0.6},
        studies.build({"model.learning_rate": 0.1}).trade({"strategy.buy_threshold": 0.6}),
    )
    opened.add([record, record])

    assert len(studies.desk(tmp_path, searched).records()) == 1


def test_block_of_a_living_worker_is_left_alone_and_of_a_dead_one_taken(studies, tmp_path):
    opened = studies.desk(tmp_path, studies.search(), owner="elsewhere|1|9")
    now = opened.clock()
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert not opened.is_free(Block(0, {}, worker_name(living.pid), now))
        dead = worker_name(living.pid)
    finally:
        living.communicate(b"\n")
    assert opened.is_free(Block(0, {}, dead, now))
    assert not opened.is_free(Block(0, {}, "other host|1|1", now))
    assert opened.is_free(Block(0, {}, "other host|1|1", now - 1_000))
    assert opened.is_free(Block(0, {}, "other host|1|1", now + 1_000))


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "gp"])
def test_proposals_lie_in_the_space(sampler, studies):
    known = [
        Known({"model.learning_rate": 0.1, "model.num_leaves": 8, "strategy.buy_threshold": 0.5 + i / 100,
               "strategy.stop_loss": 0.01, "strategy.allow_short": False}, (float(i),))
        for i in range(15)
    ]  # fmt: skip
    model = {"model.learning_rate": 0.1, "model.num_leaves": 8}

    for number in range(15, 25):
        found = proposer(sampler, studies.SPACE, "trade", ("maximize",), 3).propose(number, model, known)
        names = set(found)
        assert {"strategy.buy_threshold", "strategy.stop_loss", "strategy.allow_short"} <= names
        assert ("strategy.take_profit" in names) == found["strategy.allow_short"]
        assert 0.5 <= found["strategy.buy_threshold"] <= 0.7


def test_gaussian_process_without_torch_says_what_it_needs(studies, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ValueError, match=r"sampler 'gp' needs torch, which is not installed; install itb\[deep\]"):
        studies.search("gp")


def test_sampler_that_knows_one_objective_refuses_two(studies):
    with pytest.raises(ValueError, match="sampler 'cmaes' knows one objective, 2 were named"):
        studies.search("cmaes", objectives=(OBJECTIVES["sharpe"], OBJECTIVES["ulcer"]))


def killed(folder, sampler, workers, kills):
    command = [sys.executable, str(SCRIPT), str(folder), sampler, str(workers), str(kills), "1"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout)


@pytest.mark.parametrize(("sampler", "workers"), [("tpe", 1), ("grid", 1), ("qmc", 1), ("random", 4)])
def test_kills_lose_and_double_nothing(sampler, workers, tmp_path):
    found = killed(tmp_path, sampler, workers, 10)

    assert found["kills"] >= 10
    assert {name: found[name] for name in ("lost", "broken", "wrong")} == {"lost": 0, "broken": 0, "wrong": 0}
    assert found["different"] == 0


@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("sampler", ["grid", "random", "qmc", "tpe"])
def test_a_hundred_kills_lose_and_double_nothing(sampler, workers, tmp_path):
    found = killed(tmp_path, sampler, workers, 100)

    assert {name: found[name] for name in ("lost", "broken", "wrong")} == {"lost": 0, "broken": 0, "wrong": 0}
    assert found["different"] == 0 or (workers > 1 and sampler == "tpe")
