"""`itb notify`: what people would have been told of a finished backtest."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from itb.charts.chat_page import Bubble, chat_page
from itb.charts.data import Table
from itb.config.told import outputs
from itb.errors import ConfigError
from itb.live.notify.alert_notifier import Alerts
from itb.live.notify.diagram_notifier import Diagram
from itb.live.notify.grader import sent_of
from itb.live.notify.grades import board_text, scoreboard
from itb.live.notify.people import People
from itb.live.notify.summary_notifier import Summary
from itb.live.notify.trade_notifier import Signals, Trades
from itb.market.timeframe import DAY_MS
from itb.runs.capsule import read_capsule
from itb.runs.graded import binary_of, grades_of
from itb.runs.history import capsule_config
from itb.runs.retold import retell
from itb.runs.said import Said

if TYPE_CHECKING:
    from pathlib import Path

    from itb.config import Config
    from itb.live.notify.grades import Sent
    from itb.live.notify.message import Message
    from itb.live.notify.notifier import Notifier
    from itb.runs.workspace import Workspace

DEFAULT: tuple[Notifier, ...] = (Signals(), Trades(fills=False), Diagram(), Summary(), Alerts())
"""What is told where the config has no ``[[outputs]]``."""


def notifiers(config: Config) -> tuple[Notifier, ...]:
    """Give the configured outputs, else the usual ones."""
    return tuple(output.notifier for output in outputs(config)) or DEFAULT


def preview(workspace: Workspace, run_id: str, out: Path | None, days: int) -> Said:
    """Write what would have been said in the last ``days`` of a finished backtest.

    ``chat.html`` looks as a phone would, ``messages.jsonl`` is for programs, pictures lie beside them. What came
    earlier is told too, so that running statistics are right, but not written.
    """
    if days < 1:
        raise ConfigError(f"--days {days}: expected 1 or more")
    capsule = read_capsule(workspace.runs, run_id)
    config = workspace.config
    people = People(config.notify.zone)
    reporters = [notifier.reporter(people) for notifier in notifiers(config)]
    binary = binary_of(capsule_config(workspace, capsule))
    said: list[Message] = []
    sent: list[Sent] = []
    last = 0
    for event in retell(workspace, capsule):
        last = max(last, event.time)
        told = [message for reporter in reporters for message in reporter.tell(event)]
        sent += sent_of(event, {message.topic for message in told}, binary)
        said += told
    grades = grades_of(workspace, capsule, sent)
    known = {grade.sent.key for grade in grades}
    board = board_text(scoreboard(grades, [one for one in sent if one.key not in known]))
    said = [message for message in said if message.time > last - days * DAY_MS]
    folder = workspace.runs / "notify" / capsule.run_id if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    bubbles, lines = [], []
    for number, message in enumerate(said):
        workspace.report(number, len(said), "drawing")
        name = f"{number + 1:04d}-{message.topic}.png" if message.picture is not None else ""
        if message.picture is not None:
            (folder / name).write_bytes(message.picture.png(config.notify.theme))
        clock = people.local(message.time).strftime("%H:%M")
        bubbles.append(Bubble(message.text, people.day(message.time), clock, name))
        entry = {"time": message.time, "topic": message.topic, "text": message.plain, "picture": name}
        lines.append(json.dumps(entry, ensure_ascii=False))
    title = f"{capsule.manifest['symbol']} {capsule.manifest['timeframe']}"
    (folder / "chat.html").write_text(chat_page(title, bubbles), encoding="utf-8")
    (folder / "messages.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    counts = Counter(message.topic for message in said)
    line = (
        f"{len(said):,} messages and {sum(bool(b.picture) for b in bubbles):,} pictures of the last {days} days in "
        f"{folder}; open {folder / 'chat.html'}"
    )
    rows = tuple((topic, str(count)) for topic, count in sorted(counts.items()))
    data = {"run": capsule.run_id, "folder": str(folder), "messages": dict(counts), "scoreboard": board}
    return Said(
        data,
        ("All that it would have sent, graded:", *board.splitlines(), "", line),
        Table(("topic", "messages"), rows) if rows else None,
    )
