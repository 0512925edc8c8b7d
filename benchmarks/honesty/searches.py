"""A search of random rules on one path: thresholds on scores that know nothing, and moving averages of the price."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.honesty.markets import DAYS, HOURS
from itb.market.bars import FloatArray, IntArray
from itb.optimize.evidence import Evidence
from itb.optimize.sharpe_statistics import sharpe

TRAIN_DAYS = 180
WINDOW_DAYS = 30
_SCORES = 5

Table = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Trials:
    """Positions of every trial over every hour's return (hours x trials: -1, 0 or 1), and these returns."""

    positions: npt.NDArray[np.int8]
    returns: FloatArray

    def daily(self, cost: float) -> Table:
        """Daily returns of every trial; a change of position pays ``cost`` (fraction) of its size."""
        change = np.abs(np.diff(self.positions, axis=0, prepend=np.int8(0)))
        hourly = self.positions * self.returns[:, None]
        hourly -= cost * change
        return np.asarray(np.expm1(np.log1p(hourly, out=hourly).reshape(DAYS, 24, -1).sum(axis=1)))


def random_rules(returns: FloatArray, count: int, rng: np.random.Generator) -> Trials:
    """Draw ``count`` rules: half threshold scores without skill, half cross averages; half may go short as well."""
    by_score = count // 2
    position = np.concatenate([_thresholds(by_score, rng), _averages(returns, count - by_score, rng)], axis=1)
    short_too = np.arange(count) % 2 == 0
    position[:, ~short_too] = np.maximum(position[:, ~short_too], 0)
    # Decided at the close of an hour, held over the next one's return.
    held = np.zeros((HOURS, count), dtype=np.int8)
    held[1:] = position[:-1]
    return Trials(held, returns)


def evidence(trials: Trials, cost: float) -> Evidence:
    """Replay the selection and collect what a verdict is judged from."""
    table = trials.daily(cost)
    nested, windows = replay(table, trials.positions[23::24], cost)
    hold = np.expm1(np.log1p(trials.returns).reshape(DAYS, 24).sum(axis=1))
    return Evidence(table, int(sharpe(table).argmax()), nested, nested_windows=windows, hold=hold)


def replay(table: Table, closing: npt.NDArray[np.int8], cost: float) -> tuple[FloatArray, IntArray]:
    """Trade in every window the trial with the best Sharpe ratio on all days before, paying for a change of trial."""
    starts = np.arange(TRAIN_DAYS, len(table), WINDOW_DAYS)
    total, square = np.cumsum(table, axis=0), np.cumsum(table**2, axis=0)
    mean = total[starts - 1] / starts[:, None]
    variance = square[starts - 1] / starts[:, None] - mean**2
    ratio = np.divide(mean, np.sqrt(np.maximum(variance, 1e-18)))
    chosen = ratio.argmax(axis=1)
    day = np.arange(TRAIN_DAYS, len(table))
    window = (day - TRAIN_DAYS) // WINDOW_DAYS
    nested = table[day, chosen[window]]
    before = np.concatenate(([0], closing[starts[1:] - 1, chosen[:-1]]))
    switched = cost * np.abs(closing[starts - 1, chosen].astype(int) - before)
    nested[starts - TRAIN_DAYS] = (1 + nested[starts - TRAIN_DAYS]) * (1 - switched) - 1
    return nested, window


def _thresholds(count: int, rng: np.random.Generator) -> npt.NDArray[np.int8]:
    from scipy.signal import lfilter

    memory = 0.5 ** (1 / rng.uniform(6, 96, _SCORES))
    noise = rng.normal(size=(HOURS, _SCORES))
    columns = [lfilter([np.sqrt(1 - stay**2)], [1, -stay], noise[:, i]) for i, stay in enumerate(memory)]
    scores = np.column_stack(columns)[:, rng.integers(0, _SCORES, count)]
    buy, sell = rng.uniform(0.3, 1.5, count), rng.uniform(-1.0, 0.3, count)
    return _held(scores >= buy, scores <= sell) - _held(scores <= -buy, scores >= -sell)


def _averages(returns: FloatArray, count: int, rng: np.random.Generator) -> npt.NDArray[np.int8]:
    price = np.cumsum(np.log1p(returns))
    total = np.concatenate(([0.0], np.cumsum(price)))
    fast = np.exp(rng.uniform(np.log(3), np.log(100), count)).astype(int)
    slow = (fast * rng.uniform(2, 8, count)).astype(int) + 1
    position = np.zeros((HOURS, count), dtype=np.int8)
    for i in range(count):
        above = _mean(total, fast[i])[slow[i] - fast[i] :] - _mean(total, slow[i])
        position[slow[i] - 1 :, i] = np.sign(above) * rng.choice([-1, 1])  # trends, or their reversal
    return position


def _mean(total: FloatArray, window: int) -> FloatArray:
    return np.asarray((total[window:] - total[:-window]) / window)


def _held(enter: Flags, leave: Flags) -> npt.NDArray[np.int8]:
    """Hold from an entry to the next exit."""
    last = np.where(enter | leave, np.arange(len(enter), dtype=np.int32)[:, None], -1)
    np.maximum.accumulate(last, axis=0, out=last)
    inside = np.take_along_axis(enter, np.maximum(last, 0), axis=0) & (last >= 0)
    return inside.astype(np.int8)
