import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.optimize.space import Choice, Condition, FloatRange, IntRange, Space, is_active


@st.composite
def dimensions(draw):
    name = draw(st.sampled_from("abcdefgh"))
    kind = draw(st.sampled_from(["float", "log", "step", "int", "int log", "choice"]))
    low = draw(st.floats(0.001, 10))
    high = low + draw(st.floats(0, 100))
    whole = draw(st.integers(1, 50))
    count = draw(st.integers(0, 200))
    top = whole + draw(st.integers(0, 100))
    return {
        "float": lambda: FloatRange(name, low, high),
        "log": lambda: FloatRange(name, low, high, log=True),
        "step": lambda: FloatRange(name, whole / 100, (whole + count) / 100, step=draw(st.integers(1, 40)) / 100),
        "int": lambda: IntRange(name, whole, top, step=draw(st.integers(1, 7))),
        "int log": lambda: IntRange(name, whole, top, log=True),
        "choice": lambda: Choice(name, tuple(draw(st.lists(st.integers(0, 9), min_size=1, unique=True)))),
    }[kind]()


def test_what_a_dimension_waits_for_and_what_comes_with_it_stand_beside_it():
    space = Space(
        model=(
            Choice("a", (1, 2)),
            Choice("b", ("x", "y"), when=Condition("a", (2,))),
            IntRange("c", 3, 5, when=Condition("b", ("y",))),
            FloatRange("d", 0.5, 1.0),
        )
    )
    a, b, c, d = space.dimensions

    assert space.standing(a, 1) == {"a": 1}
    assert space.standing(a, 2) == {"a": 2, "b": "x"}
    assert space.standing(b, "y") == {"a": 2, "b": "y", "c": 3}
    assert space.standing(c, 5) == {"a": 2, "b": "y", "c": 5}
    assert space.standing(d, 1.0) == {"d": 1.0}


@given(dimension=dimensions(), share=st.floats(0, 1))
def test_any_share_gives_a_value_that_optuna_knows(dimension, share):
    value = dimension.at(share)

    assert dimension.distribution._contains(dimension.distribution.to_internal_repr(value))


@given(dimension=dimensions())
def test_grid_values_differ_and_lie_within_the_range(dimension):
    values = dimension.grid()

    assert len(set(values)) == len(values) >= 1
    assert all(dimension.distribution._contains(dimension.distribution.to_internal_repr(v)) for v in values)


@given(dimension=dimensions())
def test_shares_of_the_ends_are_the_ends(dimension):
    assert 0 <= dimension.share(dimension.at(0.0)) <= dimension.share(dimension.at(1.0)) <= 1 + 1e-9


def test_uniform_shares_draw_whole_numbers_equally_often():
    wanted = IntRange("a", 1, 4)

    drawn = [wanted.at(share) for share in np.linspace(0, 1, 4000, endpoint=False)]

    assert {value: drawn.count(value) for value in range(1, 5)} == dict.fromkeys(range(1, 5), 1000)


def test_grid_is_the_cartesian_product_with_conditions_applied():
    space = Space(
        trade=(
            Choice("short", (True, False)),
            FloatRange("stop", 0.01, 0.03, step=0.01, when=Condition("short", (True,))),
            IntRange("bars", 1, 2),
        )
    )

    points = list(space.grid("trade", {}))

    shorts = [
        {"short": True, "stop": stop, "bars": bars} for stop, bars in itertools.product((0.01, 0.02, 0.03), (1, 2))
    ]
    assert points == [*shorts, {"short": False, "bars": 1}, {"short": False, "bars": 2}]


def test_condition_on_the_model_side_decides_about_the_trade_side():
    stop = FloatRange("stop", 0.0, 1.0, when=Condition("kind", ("b",)))
    space = Space(model=(Choice("kind", ("a", "b")),), trade=(stop,))

    assert space.fill("trade", np.array([0.5]), {"kind": "a"}) == {}
    assert space.fill("trade", np.array([0.5]), {"kind": "b"}) == {"stop": 0.5}
    assert not is_active(stop, {})


def test_shares_of_a_point_mark_what_does_not_exist_there():
    space = Space(
        trade=(Choice("short", (True, False)), FloatRange("stop", 0.0, 2.0, when=Condition("short", (True,))))
    )

    assert space.shares({"short": True, "stop": 0.5}).tolist() == [0.0, 0.25]
    assert np.isnan(space.shares({"short": False})[1])


def test_another_space_has_another_fingerprint():
    one, other = FloatRange("a", 0, 1), FloatRange("a", 0, 1, step=0.1)

    assert Space(trade=(one,)).fingerprint == Space(trade=(one,)).fingerprint != Space(trade=(other,)).fingerprint


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FloatRange("a", 2.0, 1.0), "a: low must not be above high, were 2.0 and 1.0"),
        (lambda: FloatRange("a", 0.0, 1.0, log=True), "low must be above 0 for a logarithmic range, was 0.0"),
        (lambda: FloatRange("a", 1.0, 2.0, step=0.1, log=True), "a logarithmic range takes no step, was 0.1"),
        (lambda: FloatRange("a", 1.0, 2.0, step=-1.0), "step must be above 0, was -1.0"),
        (lambda: IntRange("a", 1, 2, points=1), "points must be at least 2, was 1"),
        (lambda: Choice("a", ()), "choices must hold at least one value"),
        (lambda: Choice("a", (1, 1)), "choices must differ"),
        (Space, "expected at least one setting that varies"),
        (lambda: Space(trade=(IntRange("a", 1, 2), IntRange("a", 1, 3))), "a: expected once, is there twice"),
        (
            lambda: Space(trade=(IntRange("a", 1, 2, when=Condition("b", (1,))),)),
            "a: when names 'b', which must be a dimension before it",
        ),
        (
            lambda: Space(trade=(Choice("b", (1, 2)), IntRange("a", 1, 2, when=Condition("b", (3,))))),
            "when waits for b = 3, which is none of its choices",
        ),
    ],
)
def test_impossible_spaces_are_refused(make, message):
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        make()
