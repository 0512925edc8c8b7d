"""The notifiers that `[[outputs]]` may name."""

from __future__ import annotations

from itb.live.notify.alert_notifier import Alerts
from itb.live.notify.score_notifier import ScoreBands, ScoreSteps
from itb.live.notify.trade_notifier import Signals, SimulatedTrades, Trades

OUTPUTS: dict[str, type[ScoreBands | ScoreSteps | Signals | SimulatedTrades | Trades | Alerts]] = {
    "score_bands": ScoreBands,
    "score_steps": ScoreSteps,
    "signals": Signals,
    "simulated_trades": SimulatedTrades,
    "trades": Trades,
    "alerts": Alerts,
}
