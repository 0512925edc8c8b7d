"""What chance would have made of the best trial: its trades elsewhere, its exposure at other times, other labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.errors import ItbError
from itb.ledger import breakeven
from itb.market.costs import BPS
from itb.optimize.null_baselines import NullBaseline, permuted, permuted_positions, random_entries
from itb.optimize.objectives import sharpe
from itb.optimize.permuted_labels import PermutedLabels

if TYPE_CHECKING:
    from collections.abc import Callable

    from itb.backtest.result import BacktestResult
    from itb.optimize.desk import Record
    from itb.optimize.performance import Performance
    from itb.runs.search_build import ModelSides

_STRETCHES = 4  # that a training window is cut into


def chance_of_trades(sides: ModelSides, result: BacktestResult, seed: int) -> dict[str, Any]:
    """Compare with the same trades and the same exposure at random, and say what costs leave."""
    config, bars = sides.workspace.config, sides.market.bars
    charged = config.costs.one_way_bps
    edge = breakeven.break_even(
        result.fills, result.market_prices, start_cash=result.starting_cash, final_equity=result.end_value
    )
    bearable = edge.break_even_bps
    found = {"charged_bps": float(charged), "break_even_bps": math.nan if bearable is None else float(bearable)}
    start = sides.start
    trades = [trade for trade in result.trades if not trade.is_open and trade.exit_bar > trade.entry_bar]
    if len(trades) < 2:
        return found
    entries = np.array([trade.entry_bar for trade in trades]) - start
    exits = np.array([trade.exit_bar for trade in trades]) - start
    signs = np.array([1 if trade.qty > 0 else -1 for trade in trades])
    one_way = charged * BPS
    found["random_entry_p"] = random_entries(
        bars.open[start:], entries, exits, signs, one_way_cost=one_way, seed=seed
    ).p_value
    exposure = result.position * bars.close / np.maximum(result.equity, 1e-9)
    moves = np.diff(bars.close[start:]) / bars.close[start:-1]
    length = max(1, round(float(np.median(exits - entries))))
    found["permutation_p"] = permuted_positions(
        exposure[start:-1], moves, one_way_cost=one_way, block=length, seed=seed
    ).p_value
    return found


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
