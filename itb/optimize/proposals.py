"""Who proposes the next point of a search: random, quasi-random, grid, or an Optuna sampler that learns.

Every proposal is a function of the seed, its number and the finished trials it is shown, so that a search that was
killed and resumed proposes what an uninterrupted one would have.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from itb.optimize.space import Choice, Dimension, IntRange, Side, Space, Value, Values, is_active

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler

    from itb.optimize.objectives import Direction

SamplerName = Literal["tpe", "grid", "random", "gp", "cmaes", "nsga2", "qmc"]
SAMPLERS: tuple[SamplerName, ...] = ("tpe", "grid", "random", "gp", "cmaes", "nsga2", "qmc")
_STARTUP = 10
_SIDES: dict[Side, int] = {"model": 0, "trade": 1}


@dataclass(frozen=True)
class Known:
    """A finished (or, with ``values`` ``None``, a running or failed) point that a proposer may learn from."""

    parameters: Values
    values: tuple[float, ...] | None
    excess: Mapping[str, float] = field(default_factory=dict)
    is_running: bool = False


class Proposer(Protocol):
    """Proposes points of one side of a space."""

    def propose(self, number: int, given: Values, known: Sequence[Known]) -> dict[str, Value]:
        """Give point ``number`` (counted from 0); ``given`` are the values of the other side."""


@dataclass(frozen=True)
class RandomProposer:
    """Independent uniform points."""

    space: Space
    side: Side
    seed: int = 0

    def propose(self, number: int, given: Values, known: Sequence[Known]) -> dict[str, Value]:  # noqa: ARG002  (port)
        """Draw point ``number``."""
        rng = np.random.default_rng([self.seed, _SIDES[self.side], number])
        return self.space.fill(self.side, rng.random(len(self.space.side(self.side))), given)


@dataclass(frozen=True)
class QuasiRandomProposer:
    """Scrambled Sobol points (SciPy): the space is filled evenly, whatever the number of points."""

    space: Space
    side: Side
    seed: int = 0

    def propose(self, number: int, given: Values, known: Sequence[Known]) -> dict[str, Value]:  # noqa: ARG002  (port)
        """Give Sobol point ``number``."""
        from scipy.stats.qmc import Sobol

        count = len(self.space.side(self.side))
        if not count:
            return {}
        source = Sobol(count, scramble=True, rng=np.random.default_rng([self.seed, _SIDES[self.side]]))
        if number:
            source.fast_forward(number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the balance of powers of two is not asked for
            return self.space.fill(self.side, source.random(1)[0], given)


@dataclass(frozen=True)
class GridProposer:
    """Every combination, in order; points beyond the last are refused with ``IndexError``."""

    space: Space
    side: Side
    _points: dict[str, list[dict[str, Value]]] = field(default_factory=dict, repr=False, compare=False)

    def propose(self, number: int, given: Values, known: Sequence[Known]) -> dict[str, Value]:  # noqa: ARG002  (port)
        """Give grid point ``number``."""
        return self.points(given)[number]

    def points(self, given: Values) -> list[dict[str, Value]]:
        """Give all grid points where the other side has these values."""
        key = repr(sorted(given.items()))
        if key not in self._points:
            self._points[key] = list(self.space.grid(self.side, given))
        return self._points[key]


@dataclass(frozen=True)
class LearningProposer:
    """An Optuna sampler that learns from what is known: TPE, a Gaussian process or NSGA-II.

    The sampler is made anew for each point, seeded by its number. TPE is multivariate and counts a running point as a
    poor one (constant liar), so that workers spread.
    """

    space: Space
    side: Side
    sampler: Literal["tpe", "gp", "nsga2"]
    directions: tuple[Direction, ...]
    seed: int = 0
    _desk: list[Any] = field(default_factory=list, repr=False, compare=False)

    def propose(self, number: int, given: Values, known: Sequence[Known]) -> dict[str, Value]:
        """Ask the sampler for point ``number``."""
        import optuna

        study = self._study(known)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = self._sampler(number)
            fixed = {name: value for name, value in given.items() if name in self.space.names}
            study.sampler = optuna.samplers.PartialFixedSampler(fixed, sampler) if fixed else sampler
            trial = study.ask()
            values: dict[str, Value] = {}
            for dimension in self.space.dimensions:
                is_asked = dimension in self.space.side(self.side) or dimension.name in fixed
                if is_asked and is_active(dimension, {**given, **values}):
                    found = suggest(trial, dimension)
                    if dimension.name not in fixed:
                        values[dimension.name] = found
        study.tell(trial, state=optuna.trial.TrialState.FAIL)  # its place is taken by the finished point
        return values

    def _study(self, known: Sequence[Known]) -> optuna.Study:
        """Give the memory study with every known point in it; grown, not built again, while points are only added."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        before: list[Known] = self._desk[1] if self._desk else []
        is_grown = (
            bool(self._desk)
            and len(known) >= len(before)
            and all(old is new for old, new in zip(before, known, strict=False))
        )
        if not is_grown:
            study = optuna.create_study(directions=list(self.directions))
            self._desk[:] = [study, []]
        study, before = self._desk
        for one in known[len(before) :]:
            study.add_trial(_frozen(self.space, one))
        self._desk[1] = list(known)
        return study  # type: ignore[no-any-return]  # kept in a plain list

    def _sampler(self, number: int) -> BaseSampler:
        import optuna

        seed = int(np.random.default_rng([self.seed, _SIDES[self.side], number]).integers(2**31))
        if self.sampler == "tpe":
            return optuna.samplers.TPESampler(
                seed=seed,
                multivariate=True,
                group=any(dimension.when for dimension in self.space.dimensions),
                constant_liar=True,
                n_startup_trials=_STARTUP,
            )
        if self.sampler == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed)
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=_STARTUP)


@dataclass(frozen=True)
class CmaesProposer:
    """Covariance matrix adaptation over the unit cube of the side (cmaes, Hansen); choices are cut from a share.

    Its state is replayed from the finished points, so nothing but the points is ever stored. A failed point counts as
    the worst of its generation.
    """

    space: Space
    side: Side
    direction: Direction
    seed: int = 0

    def propose(self, number: int, given: Values, known: Sequence[Known]) -> dict[str, Value]:
        """Give point ``number``: replay every finished generation, then ask on."""
        import cmaes

        count = len(self.space.side(self.side))
        if count < 2:
            return RandomProposer(self.space, self.side, self.seed).propose(number, given, known)
        seed = int(np.random.default_rng([self.seed, _SIDES[self.side]]).integers(2**31))
        search = cmaes.CMA(mean=np.full(count, 0.5), sigma=0.3, bounds=np.tile([0.0, 1.0], (count, 1)), seed=seed)
        size = search.population_size
        sign = -1.0 if self.direction == "maximize" else 1.0
        finished = [one for one in known if not one.is_running][:number]
        asked: list[np.ndarray[Any, Any]] = []
        for place in range(number + 1):
            asked.append(search.ask())
            if place == number or len(asked) < size:
                continue
            if place < len(finished):
                told = [_cost(one, sign) for one in finished[place - size + 1 : place + 1]]
                worst = max((cost for cost in told if np.isfinite(cost)), default=0.0)
                costs = [cost if np.isfinite(cost) else worst for cost in told]
                search.tell(list(zip(asked, costs, strict=True)))
            asked = []
        return self.space.fill(self.side, asked[-1], given)


def proposer(sampler: SamplerName, space: Space, side: Side, directions: tuple[Direction, ...], seed: int) -> Proposer:
    """Make the proposer of one side.

    Raises ``ValueError`` where the sampler cannot serve: more than one objective for anything but TPE and NSGA-II, no
    torch for the Gaussian process.

    >>> space = Space(trade=(Choice("strategy.allow_short", (True, False)),))
    >>> proposer("grid", space, "trade", ("maximize",), 0).propose(1, {}, [])
    {'strategy.allow_short': False}
    """
    if len(directions) > 1 and sampler in ("cmaes", "gp"):
        raise ValueError(f"sampler {sampler!r} knows one objective, {len(directions)} were named; use nsga2 or tpe")
    if not space.side(side):
        return RandomProposer(space, side, seed)
    if sampler == "gp":
        _need_torch()
    if sampler in ("tpe", "gp", "nsga2"):
        return LearningProposer(space, side, sampler, directions, seed)
    if sampler == "cmaes":
        return CmaesProposer(space, side, directions[0], seed)
    simple: dict[str, Callable[[], Proposer]] = {
        "grid": lambda: GridProposer(space, side),
        "random": lambda: RandomProposer(space, side, seed),
        "qmc": lambda: QuasiRandomProposer(space, side, seed),
    }
    if sampler not in simple:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, was {sampler!r}")
    return simple[sampler]()


def suggest(trial: optuna.Trial, dimension: Dimension) -> Value:
    """Ask an Optuna trial for a dimension's value."""
    if isinstance(dimension, Choice):
        chosen = trial.suggest_categorical(dimension.name, list(dimension.choices))
        assert chosen is not None
        return chosen
    if isinstance(dimension, IntRange):
        known = dimension.distribution
        return trial.suggest_int(dimension.name, dimension.low, known.high, step=dimension.step, log=dimension.log)
    return trial.suggest_float(
        dimension.name, dimension.low, dimension.distribution.high, step=dimension.step, log=dimension.log
    )


def _frozen(space: Space, one: Known) -> optuna.trial.FrozenTrial:
    import optuna

    known = {d.name: d.distribution for d in space.dimensions if d.name in one.parameters}
    state = optuna.trial.TrialState.COMPLETE
    if one.values is None:
        state = optuna.trial.TrialState.RUNNING if one.is_running else optuna.trial.TrialState.FAIL
    return optuna.trial.create_trial(
        state=state,
        params={name: one.parameters[name] for name in known},
        distributions=known,
        values=None if one.values is None else list(one.values),
        constraints=dict(one.excess),
    )


def _cost(one: Known, sign: float) -> float:
    if one.values is None:
        return float("inf")
    broken = sum(max(0.0, excess) for excess in one.excess.values())
    return sign * one.values[0] + 1e3 * broken


def _need_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise ValueError("sampler 'gp' needs torch, which is not installed; install itb[deep], or use tpe")
