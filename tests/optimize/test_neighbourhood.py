from __future__ import annotations

import math

import numpy as np
import pytest

from itb.optimize.neighbourhood import neighbourhood

GRID = np.array([[x, 1_000.0 * y] for x in range(11) for y in range(11)])
CENTRE = 60


def test_a_flat_top_keeps_all_of_its_lead() -> None:
    near = (np.abs(GRID - GRID[CENTRE]) <= [1, 1_000]).all(axis=1)
    found = neighbourhood(GRID, np.where(near, 2.0, 0.5), best=CENTRE)
    assert (found.stability, found.is_plateau) == (1.0, True)


def test_a_spike_keeps_none_and_is_no_plateau() -> None:
    objective = np.zeros(len(GRID))
    objective[CENTRE] = 3.0
    found = neighbourhood(GRID, objective)
    assert (found.best, found.stability, found.is_plateau) == (CENTRE, 0.0, False)


def test_neighbours_are_the_nearest_whatever_the_units() -> None:
    objective = np.zeros(len(GRID))
    objective[CENTRE] = 1.0
    assert sorted(neighbourhood(GRID, objective).neighbours.tolist()) == [49, 59, 61, 71]


def test_the_point_that_is_asked_for_is_looked_at() -> None:
    objective = np.arange(float(len(GRID)))
    assert neighbourhood(GRID, objective).best == 120
    assert neighbourhood(GRID, objective, best=CENTRE).best == CENTRE


def test_failed_trials_and_parameters_that_stand_still_take_no_part() -> None:
    points = np.hstack([GRID, np.full((len(GRID), 1), 7.0)])
    objective = -np.hypot(points[:, 0] - 5, points[:, 1] / 1_000 - 5)
    whole = neighbourhood(GRID, objective).stability
    assert neighbourhood(points, objective).stability == whole
    objective[0] = np.nan
    assert 0 not in neighbourhood(points, objective).neighbours


@pytest.mark.parametrize("objective", [np.zeros(5), np.full(5, np.nan), np.zeros(20)])
def test_without_a_lead_or_enough_trials_nothing_is_said(objective: np.ndarray) -> None:
    points = np.arange(float(len(objective)))[:, None]
    found = neighbourhood(points, objective)
    assert math.isnan(found.stability)
    assert not found.is_plateau


def test_other_numbers_of_points_and_objectives_are_refused() -> None:
    with pytest.raises(ValueError, match="for each of 3 points, were 2"):
        neighbourhood(np.zeros((3, 1)), np.zeros(2))
