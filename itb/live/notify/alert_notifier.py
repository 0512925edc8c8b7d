"""Messages about the run itself: troubles that begin and end, halts, new models, limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from itb.live.notify.events import StateChanged
from itb.live.notify.message import Message
from itb.live.notify.notifier import checked
from itb.live.notify.people import People, render

if TYPE_CHECKING:
    from itb.live.notify.events import Event, State

SIGNS: dict[State, str] = {
    "started": "▶️",
    "stopped": "⏹️",
    "degraded": "⚠️",
    "recovered": "✅",
    "halted": "🛑",
    "resumed": "▶️",
    "retrained": "🧠",
    "model_expired": "⌛",
    "drift": "🌊",
    "limit_hit": "🚧",
    "left_band": "📏",
}
_LOUD = {"degraded", "halted", "model_expired", "limit_hit", "left_band"}
TEMPLATE = (
    "{{ sign }} <b>{{ heading }}</b> {{ text }}"
    "{% if lasted %} (after {{ lasted|lasting }}{% if count > 1 %}, {{ count }} times{% endif %}){% endif %}"
)


@dataclass(frozen=True)
class Alerts:
    """Say what happens to the run: troubles once when they begin and once when they are over.

    Parameters
    ----------
    states
        Which kinds are told: ``started``, ``stopped``, ``degraded``, ``recovered``, ``halted``, ``resumed``,
        ``retrained``, ``model_expired``, ``drift``, ``limit_hit``, ``left_band``. Empty: all.
    template
        The message, in Jinja2's language.
    """

    states: tuple[str, ...] = ()
    template: str = TEMPLATE

    def __post_init__(self) -> None:
        unknown = next((state for state in self.states if state not in SIGNS), None)
        if unknown is not None:
            raise ValueError(f"states must be among {', '.join(SIGNS)}, was {unknown!r}")
        checked(self.template, _values(StateChanged(2, "recovered", "the exchange answers again", "venue", 1, 3)))

    def reporter(self, people: People) -> AlertReporter:
        """Begin to work."""
        return AlertReporter(self, people)


class AlertReporter:
    """Remembers nothing: whoever tells of troubles tells each once."""

    def __init__(self, notifier: Alerts, people: People) -> None:
        self._states, self._template = set(notifier.states or SIGNS), people.template(notifier.template)

    def tell(self, event: Event) -> list[Message]:
        """Say a change."""
        if not isinstance(event, StateChanged) or event.state not in self._states:
            return []
        text = render(self._template, _values(event))
        return [Message(event.time, "alert", text, is_quiet=event.state not in _LOUD)]


def _values(event: StateChanged) -> dict[str, Any]:
    return {
        "sign": SIGNS[event.state], "state": event.state, "heading": event.state.replace("_", " ").capitalize() + ":",
        "text": event.text, "topic": event.topic, "count": event.count, "time": event.time,
        "lasted": event.time - event.since if event.since else 0,
    }  # fmt: skip
