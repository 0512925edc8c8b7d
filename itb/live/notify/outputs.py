"""The notifiers that `[[outputs]]` may name."""

from __future__ import annotations

from itb.live.notify.alert_notifier import Alerts
from itb.live.notify.diagram_notifier import Diagram
from itb.live.notify.score_notifier import ScoreBands, ScoreSteps
from itb.live.notify.summary_notifier import Summary
from itb.live.notify.trade_notifier import Signals, SimulatedTrades, Trades

AnyNotifier = ScoreBands | ScoreSteps | Signals | SimulatedTrades | Trades | Diagram | Summary | Alerts

OUTPUTS: dict[str, type[AnyNotifier]] = {
    "score_bands": ScoreBands,
    "score_steps": ScoreSteps,
    "signals": Signals,
    "simulated_trades": SimulatedTrades,
    "trades": Trades,
    "diagram": Diagram,
    "summary": Summary,
    "alerts": Alerts,
}
