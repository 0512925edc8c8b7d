"""What chance would have made of the best trial: its trades elsewhere, its exposure at other times, other labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.result import SharedResult
from itb.errors import ItbError
from itb.ledger import breakeven
from itb.market.costs import BPS
from itb.optimize.null_baselines import NullBaseline, permuted, permuted_positions, random_entries
from itb.optimize.objectives import sharpe
from itb.optimize.permuted_labels import PermutedLabels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from itb.backtest.result import BacktestResult
    from itb.ledger.trades import Trade
    from itb.market.bars import FloatArray
    from itb.optimize.desk import Record
    from itb.optimize.performance import Performance
    from itb.runs.search_build import ModelSides

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]

_STRETCHES = 4  # that a training window is cut into


def chance_of_trades(sides: ModelSides, result: BacktestResult | SharedResult, seed: int) -> dict[str, Any]:
    """Compare with the same trades and the same exposure at random, and say what costs leave.

    The trades of several symbols overlap and come together, so that no order of them at random would be alike: their
    positions alone are permuted, those of one time together.
    """
    charged = sides.workspace.config.costs.one_way_bps
    edge = breakeven.break_even(
        result.fills, result.market_prices, start_cash=result.starting_cash, final_equity=result.end_value
    )
    bearable = edge.break_even_bps
    found = {"charged_bps": float(charged), "break_even_bps": math.nan if bearable is None else float(bearable)}
    trades = [trade for trade in result.trades if not trade.is_open and trade.exit_bar > trade.entry_bar]
    if len(trades) < 2:
        return found
    start, one_way = sides.start, charged * BPS
    if not isinstance(result, SharedResult):
        opened = result.bars.open[start:]
        found["random_entry_p"] = _random_entries(opened, trades, start, one_way, seed).p_value
    exposures, moves = _exposures(result, start)
    length = max(1, round(float(np.median([trade.exit_bar - trade.entry_bar for trade in trades]))))
    found["permutation_p"] = permuted_positions(exposures, moves, one_way_cost=one_way, block=length, seed=seed).p_value
    return found


def _random_entries(opened: FloatArray, trades: Sequence[Trade], start: int, one_way: float, seed: int) -> NullBaseline:
    entries = np.array([trade.entry_bar for trade in trades]) - start
    exits = np.array([trade.exit_bar for trade in trades]) - start
    signs = np.array([1 if trade.qty > 0 else -1 for trade in trades])
    return random_entries(opened, entries, exits, signs, one_way_cost=one_way, seed=seed)


def _exposures(result: BacktestResult | SharedResult, start: int) -> tuple[Matrix, Matrix]:
    """Give each symbol's worth as a share of the equity at each close from ``start`` on, and its move to the next.

    Where a symbol has no bars yet, the mean move of the others stands for its own: exposure that is put there by chance
    meets the market of that time.
    """
    parts = result.parts.values() if isinstance(result, SharedResult) else [result]
    times, equity = result.clock.open_time[start:], np.maximum(result.equity[start:], 1e-9)
    exposures, moves = [], []
    for part in parts:
        row = np.searchsorted(part.bars.open_time, times, side="right") - 1
        close = np.where(row >= 0, part.bars.close[np.maximum(row, 0)], np.nan)
        exposures.append(np.where(row >= 0, part.position[np.maximum(row, 0)] * np.nan_to_num(close), 0.0) / equity)
        moves.append(np.diff(close) / close[:-1])
    moved = np.column_stack(moves)
    known = np.isfinite(moved)
    others = np.where(known, moved, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.column_stack(exposures)[:-1], np.where(known, moved, others[:, None])


def chance_of_labels(
    sides: ModelSides,
    best: Record,
    *,
    times: int,
    seed: int,
    report: Callable[[int, int, str], None],
    stop: Callable[[], bool],
) -> NullBaseline:
    """Train the best model side on permuted labels, ``times`` times, and trade its scores by the best trade settings.

    The figure is the annual Sharpe ratio over the days of the search, 0 where nothing was traded. Everything between
    labels and scores is as in the search, and kept beside it, so that a run that was stopped goes on. What cannot be
    trained counts for chance. There are fewer where ``stop`` says so.
    """
    assert best.performance is not None
    config = sides.config_of(best.parameters)
    stretch = max(1, config.walkforward.train.bars(config.data.timeframe) // _STRETCHES)
    done = 0

    def evaluate(rng: np.random.Generator) -> float:
        nonlocal done
        report(done, times, "training on permuted labels")
        done += 1
        labels = PermutedLabels(stretch, int(rng.integers(2**32)))
        try:
            return _earned(sides.trained(best.parameters, labels).trade(best.parameters))
        except (ItbError, ValueError):
            return math.nan

    return permuted(_earned(best.performance), evaluate, times=times, seed=seed, stop=stop)


def _earned(performance: Performance) -> float:
    return sharpe(performance) if performance.daily.any() else 0.0
