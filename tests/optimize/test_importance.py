"""Importances and fronts, beside a way to know them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itb.optimize.desk import Record
from itb.optimize.front import front
from itb.optimize.importance import importances
from itb.optimize.space import Choice, Condition, FloatRange, Space

SPACE = Space(
    model=(FloatRange("model.a", 0.0, 1.0), Choice("model.kind", ("x", "y"))),
    trade=(FloatRange("strategy.b", 0.0, 1.0), FloatRange("strategy.c", 0, 1, when=Condition("model.kind", ("x",)))),
)


def records(count: int, seed: int = 0) -> list[Record]:
    rng = np.random.default_rng(seed)
    made = []
    for slot in range(count):
        values: dict[str, float | str] = {"model.a": float(rng.random()), "strategy.b": float(rng.random())}
        values["model.kind"] = str(rng.choice(["x", "y"]))
        if values["model.kind"] == "x":
            values["strategy.c"] = float(rng.random())
        worth = 3 * float(values["model.a"]) + 1.0 * float(values["strategy.b"])
        made.append(Record(slot, 0, values, "complete", (worth,)))
    return made


def test_shares_follow_the_variance_that_each_setting_makes() -> None:
    found = importances(SPACE, records(200))
    assert not isinstance(found, str)
    assert list(found)[:2] == ["model.a", "strategy.b"]
    assert sum(found.values()) == pytest.approx(1)
    assert found["model.a"] == pytest.approx(0.9, abs=0.07)  # variances of a uniform are as 9 to 1
    assert "strategy.c" not in found  # does not exist in every trial


def test_same_trials_give_the_same_shares() -> None:
    assert importances(SPACE, records(40), seed=3) == importances(SPACE, records(40), seed=3)


def test_ruinous_trials_do_not_explain_everything() -> None:
    made = records(120)
    made[5] = Record(5, 0, made[5].parameters, "complete", (-1e6,))
    found = importances(SPACE, made)
    assert not isinstance(found, str)
    assert found["model.a"] > 0.6


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (records(9), "at least 10 trials with a result, there are 9"),
        ([Record(i, 0, {"model.a": 0.5}, "complete", (float(i),)) for i in range(12)], "varies; there is none"),
        ([Record(i, 0, {"model.a": i / 12}, "complete", (1.0,)) for i in range(12)], "the same in every trial"),
    ],
)
def test_importances_that_cannot_be_known_are_a_sentence(made: list[Record], said: str) -> None:
    found = importances(SPACE, made)
    assert isinstance(found, str)
    assert said in found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=25),
    st.tuples(*[st.sampled_from([1.0, -1.0])] * 3),
)
def test_front_is_what_a_slow_loop_finds(rows: list[tuple[int, int, int]], signs: tuple[float, ...]) -> None:
    values = np.array(rows, dtype=np.float64)
    scaled = values * signs
    wanted = [not any((other >= one).all() and (other > one).any() for other in scaled) for one in scaled]
    assert front(values, signs).tolist() == wanted
