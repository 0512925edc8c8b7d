"""The label law: on the first T bars every label known by then is final, and every other is NaN."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from itb.laws.leak import check_labels
from itb.mlmodels.labels import LABELS, LabelColumn

bars_ahead = st.integers(1, 30)
ways = {"direction": st.sampled_from(["up", "down"])}
turn = {"function": st.sampled_from(["top", "bot"]), "column": st.sampled_from(["close", "high"])}
percent = st.floats(0.1, 5.0)
fraction = st.floats(0.002, 0.06)
share = st.sampled_from([0.0, 0.1, 0.5, 1.0])

views = st.sampled_from(["classes", "up", "down"])
volatility = st.sampled_from([0, 2, 10])


def barriers(names, **more):
    """Give distances that suit their unit: fractions, or standard deviations where a volatility window is given."""
    return volatility.flatmap(
        lambda window: st.fixed_dictionaries(
            {
                **{name: st.floats(0.3, 2.0) if window else fraction for name in names},
                "volatility_window": st.just(window),
                "horizon": bars_ahead,
                "touch": st.sampled_from(["close", "high_low"]),
                **more,
            }
        )
    )


PARAMETERS = {
    "future_return": st.fixed_dictionaries({"horizon": bars_ahead, "threshold": st.none() | fraction, **ways}),
    "highlow": st.one_of(
        st.fixed_dictionaries(
            {
                "function": st.sampled_from(["high", "low"]),
                "horizon": bars_ahead,
                "threshold_pct": st.none() | percent,
            }
        ),
        st.fixed_dictionaries({"function": st.just("high_to_low"), "horizon": bars_ahead}),
    ),
    "highlow2": st.fixed_dictionaries(
        {
            "function": st.sampled_from(["high", "low"]),
            "threshold_pct": percent,
            "horizon": bars_ahead,
            "tolerance": share,
            "ties": st.sampled_from(["true", "false", "unknown"]),
        }
    ),
    "topbot": st.tuples(fraction, share).flatmap(
        lambda pair: st.fixed_dictionaries({"level": st.just(pair[0]), "tolerance": st.just(pair[0] * pair[1]), **turn})
    ),
    "first_hit": st.fixed_dictionaries(
        {
            "up": fraction,
            "low": fraction,
            "window": st.integers(3, 40),
            "view": st.sampled_from(["classes", "buy", "sell"]),
        }
    ),
    "peak_dip": st.fixed_dictionaries(
        {
            "up": fraction,
            "low": fraction,
            "window": st.integers(1, 15),
            "view": st.sampled_from(["classes", "buy", "sell", "gain"]),
        }
    ),
    "gradient": st.fixed_dictionaries(
        {
            "window": st.integers(2, 40),
            "gain": st.floats(0.0, 0.1),
            "loss": st.floats(-0.1, 0.0),
            "placement": st.sampled_from(["balanced", "forward"]),
            "view": st.sampled_from(["classes", "buy", "sell"]),
        }
    ),
    "scaled_return": st.fixed_dictionaries(
        {
            "horizon": bars_ahead,
            "volatility_window": st.integers(2, 20),
            "threshold": st.none() | st.floats(0, 3),
            **ways,
        }
    ),
    "triple_barrier": barriers(
        ["up", "down"],
        ties=st.sampled_from(["up", "down", "unknown"]),
        timeout=st.sampled_from(["zero", "sign"]),
        view=views,
        cusum=st.sampled_from([0.0, 0.02]),
    ),
    "meta": barriers(
        ["target", "stop"],
        column=st.just("close"),
        change=st.integers(1, 8),
        threshold=st.floats(-0.02, 0.02),
        enter=st.sampled_from(["above", "below"]),
        side=st.sampled_from(["long", "short"]),
    ),
    "trend_scan": st.fixed_dictionaries(
        {
            "shortest": st.integers(3, 10),
            "longest": st.integers(10, 30),
            "step": st.integers(1, 9),
            "view": st.sampled_from(["t_value", "classes", "up", "down"]),
        }
    ),
    "cross_sectional_rank": st.fixed_dictionaries(
        {
            "horizon": bars_ahead,
            "coins": st.sampled_from([("eth",), ("eth", "sol")]),
            "centred": st.booleans(),
            "threshold": st.none() | st.sampled_from([0.0, 0.5, 0.9]),
        }
    ),
    "topbot2": st.fixed_dictionaries({"level": fraction, "tolerance": share, **turn}),
}


def among_coins(bars, other):
    """Give the closes of two more coins beside the bars, one of which is not always there."""
    missing = np.where(np.arange(len(bars)) % 7 == 3, np.nan, other.close[::-1])
    return dataclasses.replace(bars, columns={**bars.columns, "eth_close": other.close, "sol_close": missing})


def test_every_label_is_held_to_the_law():
    assert set(PARAMETERS) == set(LABELS)


@pytest.mark.parametrize("kind", LABELS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(), seed=st.integers(0, 2**32 - 1), count=st.integers(2, 150), step=st.sampled_from([0.0, 0.01, 0.03])
)
def test_labels_known_by_then_are_final_and_the_others_are_nan(kind, data, seed, count, step, make_bars):
    label = LABELS[kind](**data.draw(PARAMETERS[kind]))
    result = check_labels(
        label, among_coins(make_bars(count, seed=seed, step=step), make_bars(count, seed=seed + 1)), cuts=8, seed=seed
    )
    assert result.passed, result.evidence


@pytest.mark.parametrize("kind", LABELS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), seed=st.integers(0, 1000))
def test_values_are_what_the_label_says_it_gives(kind, data, seed, make_bars):
    label = LABELS[kind](**data.draw(PARAMETERS[kind]))
    column = label(among_coins(make_bars(120, seed=seed), make_bars(120, seed=seed + 1)))
    assert isinstance(column, LabelColumn)
    values = column.values[column.known_at >= 0]
    assert np.isfinite(values).all()
    if label.is_binary:
        assert set(values) <= {0.0, 1.0}
    if getattr(label, "classes", ()):
        assert set(values) <= set(label.classes)
    assert label.horizon >= 1
    assert label.name


@pytest.mark.parametrize("kind", LABELS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), count=st.integers(1, 3))
def test_the_newest_bar_is_never_known(kind, data, count, make_bars):
    column = LABELS[kind](**data.draw(PARAMETERS[kind]))(
        among_coins(make_bars(count, seed=0), make_bars(count, seed=1))
    )
    assert len(column) == count
    assert column.known_at[-1] == -1
