from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from itb.charts.search_data import Crowd, DailyLine, Drift, Halves, Parameter, Trials, WindowReturns
from itb.charts.search_figures import (
    evenly,
    front_figures,
    halves_figure,
    history_figure,
    logits_figure,
    robust_range,
    worth_figure,
)
from itb.charts.search_maps import drift_map, plateau_figure, slice_figures, smoothed, window_map

DAY = 86_400_000
VIEWS = {"f4": "<f4", "f8": "<f8", "u4": "<u4"}


def unpack(packed: Any) -> np.ndarray[Any, Any]:
    values = np.frombuffer(base64.b64decode(packed["bdata"]), VIEWS[packed["dtype"]])
    return values.reshape([int(n) for n in packed["shape"].split(",")]) if "shape" in packed else values


def trace(figure: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in figure.data if one.get("name") == name)
    return found


def names(figure: Any) -> list[str]:
    return [one.get("name", "") for one in figure.data]


def line(name: str, days: int, first: int = 19_000) -> DailyLine:
    return DailyLine(name, (first + np.arange(days)) * DAY, np.linspace(1.0, 1.3, days))


@pytest.fixture
def trials() -> Trials:
    rng = np.random.default_rng(5)
    states = ["complete"] * 40
    states[3], states[7], states[9] = "failed", "pruned", "infeasible"
    value = rng.normal(size=40)
    value[[3, 7]] = np.nan
    value[20], value[9] = 3.0, 9.0
    return Trials(
        np.arange(40), ("sharpe", "ulcer"), (1, -1), np.column_stack((value, rng.random(40))), tuple(states), 20,
        (
            Parameter("strategy.buy_threshold", rng.random(40)),
            Parameter("strategy.sell_threshold", rng.random(40)),
            Parameter("model.kind", rng.integers(0, 2, 40).astype(np.float64), ("few", "many")),
            Parameter("model.leaves", np.geomspace(4, 40, 40), is_log=True),
        ),
        np.array([1, 2, 30]),
        np.isin(np.arange(40), (20, 5)),
    )  # fmt: skip


@pytest.fixture
def crowd() -> Crowd:
    day = (19_000 + np.arange(30)) * DAY
    moves = np.random.default_rng(1).normal(0, 0.01, (30, 80))
    worth: np.ndarray[Any, np.dtype[np.float64]] = np.exp(np.cumsum(moves, axis=0))
    quantiles = (0.05, 0.25, 0.5, 0.75, 0.95)
    return Crowd(
        day, quantiles, np.asarray(np.quantile(worth, quantiles, axis=1).T, dtype=np.float64), worth[:, :50].T, 80
    )


def test_worth_lines_are_those_given_and_the_headline_is_on_top() -> None:
    nested, hold = line("nested, honest", 20, 19_010), line("hold", 30)
    figure = worth_figure((nested, hold))
    assert names(figure) == ["hold", "nested, honest"]
    assert unpack(figure.data[1]["y"]) == pytest.approx(nested.worth)
    assert unpack(figure.data[1]["x"]).tolist() == (nested.day // 1000).tolist()
    assert figure.layout["annotations"][0]["text"] == "nested begins"
    assert not worth_figure((hold, nested)).layout["annotations"]


def test_fan_is_between_opposite_quantiles(crowd: Crowd) -> None:
    figure = worth_figure((line("nested", 30),), crowd)
    filled = [place for place, one in enumerate(figure.data) if one.get("fill") == "tonexty"]
    for count, place in enumerate(filled):
        assert unpack(figure.data[place - 1]["y"]) == pytest.approx(crowd.shares[:, count])
        assert unpack(figure.data[place]["y"]) == pytest.approx(crowd.shares[:, 4 - count])
    assert unpack(trace(figure, "median trial")["y"]) == pytest.approx(crowd.shares[:, 2])
    assert "80 trials" in figure.label


def test_threads_are_the_trials_with_a_gap_between_them(crowd: Crowd) -> None:
    y = unpack(trace(worth_figure((line("nested", 30),), crowd), "some trials")["y"]).reshape(50, 31)
    assert np.isnan(y[:, 30]).all()
    assert y[:, :30] == pytest.approx(crowd.lines)


def test_logarithm_is_not_offered_for_a_ruined_account() -> None:
    assert worth_figure((line("a", 5),)).has_log
    assert not worth_figure((DailyLine("a", np.arange(2) * DAY, np.array([1.0, 0.0])),)).has_log


def test_history_shows_every_trial_where_it_belongs(trials: Trials) -> None:
    figure = history_figure(trials)
    shown = trace(figure, "trial")
    complete = [i for i, state in enumerate(trials.state) if state == "complete"]
    assert unpack(shown["x"]).tolist() == complete
    assert unpack(shown["y"]).tolist() == trials.objective[complete].tolist()
    assert unpack(trace(figure, "breaks a constraint")["x"]).tolist() == [9]
    assert unpack(trace(figure, "failed")["x"]).tolist() == [3]
    assert unpack(trace(figure, "pruned")["x"]).tolist() == [7]


@pytest.mark.parametrize("sign", [1, -1])
def test_best_so_far_is_the_running_best_of_those_that_count(trials: Trials, sign: int) -> None:
    turned = replace(trials, directions=(sign, 1), values=trials.values * [sign, 1])
    best = trace(history_figure(turned), "best so far")
    running, wanted = -np.inf, []
    for value, state in zip(trials.objective, trials.state, strict=True):
        if state == "complete" and value > running:
            running = value
            wanted.append(sign * value)
    assert unpack(best["y"]).tolist() == [*wanted, wanted[-1]]
    assert unpack(best["x"])[-1] == 39


def test_history_without_a_result_has_its_crosses_only(trials: Trials) -> None:
    none = replace(trials, values=np.full((40, 2), np.nan), state=("failed",) * 40)
    assert names(history_figure(none)) == ["failed"]


def test_history_of_many_trials_keeps_its_improvements(trials: Trials) -> None:
    count = 20_000
    value = np.random.default_rng(2).normal(size=count)
    many = Trials(np.arange(count), ("sharpe",), (1,), value[:, None], ("complete",) * count, int(value.argmax()))
    figure = history_figure(many)
    shown = unpack(trace(figure, "trial")["x"])
    assert len(shown) < 4_100
    assert set(unpack(trace(figure, "best so far")["x"]).tolist()) - {count - 1} <= set(shown.tolist())


def test_halves_are_the_points_given() -> None:
    inside, outside = np.array([1.0, -1.0, 0.5]), np.array([0.2, 0.3, -0.4])
    figure = halves_figure(Halves("Sharpe ratio", np.array([4, 6, 8]), inside, outside, 1, -0.5))
    shown = trace(figure, "trial")
    assert unpack(shown["x"]).tolist() == inside.tolist()
    assert unpack(shown["y"]).tolist() == outside.tolist()
    assert unpack(shown["customdata"]).tolist() == [4, 6, 8]
    assert unpack(trace(figure, "best")["x"]).tolist() == [-1.0]
    assert "−0.50" in figure.notes[0]
    assert halves_figure(Halves("Sharpe ratio", np.array([4]), inside[:1], outside[:1])).notes == ()


@pytest.mark.parametrize("logits", [np.array([-1.0, 0.0, 0.0, 2.0]), np.zeros(5), np.linspace(-3, 4, 999)])
def test_red_bars_of_the_logits_add_up_to_the_probability_of_overfitting(logits: np.ndarray[Any, Any]) -> None:
    bars = logits_figure(logits).data[0]
    red = np.array([color == "var(--bad)" for color in bars["marker"]["color"]])
    assert unpack(bars["y"]).sum() == pytest.approx(1.0)
    assert unpack(bars["y"])[red].sum() == pytest.approx(np.mean(logits <= 0))


def test_front_is_drawn_for_each_further_objective(trials: Trials) -> None:
    (figure,) = front_figures(trials)
    front = trace(figure, "front")
    assert sorted(unpack(front["customdata"]).tolist()) == [5, 20]
    assert np.all(np.diff(unpack(front["x"])) > 0)
    assert len(unpack(trace(figure, "trial")["x"])) == 36
    assert front_figures(replace(trials, front=None)) == ()


def test_window_map_has_the_returns_given_and_the_nested_row() -> None:
    returns = np.array([[0.1, -0.2], [0.0, 0.3], [0.05, 0.01]])
    found = WindowReturns(("2024-01-01", "2024-02-01"), np.array([7, 1, 3]), returns, np.array([np.nan, 0.02]))
    figure = window_map(found)
    assert unpack(figure.data[0]["z"]) == pytest.approx(returns)
    assert unpack(figure.data[0]["y"]).tolist() == [1, 2, 3]
    assert unpack(figure.data[1]["z"]) == pytest.approx(np.array([[np.nan, 0.02]]), nan_ok=True)
    assert figure.data[0]["zmin"] == -figure.data[0]["zmax"]
    assert len(window_map(replace(found, nested=None)).data) == 1


def test_window_map_of_many_trials_is_thinned_with_a_note() -> None:
    count = 1_000
    found = WindowReturns(("a",), np.arange(count), np.arange(count)[:, None] / count)
    figure = window_map(found)
    assert unpack(figure.data[0]["z"]).shape == (300, 1)
    assert unpack(figure.data[0]["y"])[[0, -1]].tolist() == [1, count]
    assert "300 of 1,000 rows" in figure.notes[0]


def test_slices_show_each_parameter_against_the_objective(trials: Trials) -> None:
    figures = slice_figures(trials)
    assert [figure.label for figure in figures] == [parameter.name for parameter in trials.parameters]
    known = np.isfinite(trials.objective)
    assert unpack(trace(figures[0], "trial")["x"]).tolist() == trials.parameters[0].values[known].tolist()
    assert unpack(trace(figures[0], "trial")["y"]).tolist() == trials.objective[known].tolist()
    assert unpack(trace(figures[0], "best")["y"]).tolist() == [3.0]


def test_choices_stand_beside_each_other_and_never_reach_the_next(trials: Trials) -> None:
    kind = slice_figures(trials)[2]
    x, given = unpack(trace(kind, "trial")["x"]), trials.parameters[2].values[np.isfinite(trials.objective)]
    assert np.abs(x - given).max() <= 0.25
    assert kind.layout["xaxis"]["ticktext"] == ["few", "many"]


def test_parameter_that_does_not_exist_in_the_best_trial_has_no_star(trials: Trials) -> None:
    values = trials.parameters[0].values.copy()
    values[20] = np.nan
    sparse = replace(trials, parameters=(replace(trials.parameters[0], values=values),))
    assert "best" not in names(slice_figures(sparse)[0])
    assert slice_figures(replace(trials, values=np.full((40, 2), np.nan))) == ()


def test_logarithmic_parameter_has_round_ticks(trials: Trials) -> None:
    axis = slice_figures(trials)[3].layout["xaxis"]
    assert axis["type"] == "log"
    assert axis["ticktext"] == ["5", "10", "20"]


def test_plateau_rings_the_neighbours_and_stars_the_best(trials: Trials) -> None:
    figure = plateau_figure(trials, 0, 1)
    assert unpack(trace(figure, "its neighbours")["customdata"]).tolist() == [1, 2, 30]
    assert unpack(trace(figure, "best")["x"]).tolist() == [trials.parameters[0].values[20]]
    assert "its neighbours" not in names(plateau_figure(replace(trials, neighbours=np.empty(0, np.int64)), 0, 1))


def test_smoothed_surface_is_a_kernel_mean_by_hand() -> None:
    rng = np.random.default_rng(4)
    x, y, value = rng.random(12), 5 * rng.random(12), rng.normal(size=12)
    (across, up), surface = smoothed(x, y, value)
    for row, column in ((0, 0), (20, 13), (40, 40), (7, 31)):
        total = weighted = 0.0
        for a, b, v in zip(x, y, value, strict=True):
            away = ((across[column] - a) / np.ptp(x)) ** 2 + ((up[row] - b) / np.ptp(y)) ** 2
            weight = np.exp(-0.5 * away / 0.09**2)
            total, weighted = total + weight, weighted + weight * v
        if total > 0.5:
            assert surface[row, column] == pytest.approx(weighted / total)
        else:
            assert np.isnan(surface[row, column])


def test_surface_of_one_value_of_a_parameter_is_finite_somewhere() -> None:
    _, surface = smoothed(np.zeros(3), np.arange(3.0), np.ones(3))
    assert np.nanmax(surface) == np.nanmin(surface) == 1.0


def test_drift_has_a_row_a_parameter() -> None:
    shares = np.array([[0.0, np.nan], [0.5, 1.0]])
    figure = drift_map(Drift(("a", "b"), ("p", "q"), shares, (("1", ""), ("2", "4"))))
    assert unpack(figure.data[0]["z"]) == pytest.approx(shares, nan_ok=True)
    assert figure.data[0]["text"] == [["1", ""], ["2", "4"]]
    assert figure.data[0]["y"] == ["p", "q"]


def test_range_hides_only_ruinous_trials_and_counts_them() -> None:
    values = np.concatenate((np.linspace(0, 1, 99), [-50.0]))
    reach, note = robust_range(values, 1)
    assert reach["range"][0] > -1 < 1 < reach["range"][1]
    assert note == ("1 of the worst trials lie beyond the edge.",)
    turned, _ = robust_range(-values, -1)
    assert turned["range"] == [-end for end in reversed(reach["range"])]
    assert robust_range(values[:99], 1) == ({}, ())


def test_places_are_thinned_evenly() -> None:
    assert evenly(np.arange(100), 4).tolist() == [0, 33, 66, 99]


def test_lengths_that_differ_are_refused(trials: Trials) -> None:
    with pytest.raises(ValueError, match=r"state must have 40 values, had 1"):
        replace(trials, state=("complete",))
    with pytest.raises(ValueError, match=r"values of 'p' must have 40 values, had 2"):
        replace(trials, parameters=(Parameter("p", np.zeros(2)),))
    with pytest.raises(ValueError, match=r"windows must have 2 values, had 1"):
        WindowReturns(("a",), np.arange(1), np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"a row of drift must have 1 values, had 2"):
        Drift(("a",), ("p",), np.zeros((1, 1)), (("1", "2"),))
    with pytest.raises(ValueError, match=r"worth of 'x' must have 2 values, had 3"):
        DailyLine("x", np.arange(2), np.zeros(3))
