"""How what was sent turned out: the labels that grade it, and what a backtest lets expect."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from itb.config.columns import columns
from itb.config.told import outputs
from itb.errors import BarsError
from itb.live.notify.grader import Grader, sent_of
from itb.live.notify.grades import expectations, grade
from itb.live.notify.people import People
from itb.runs.history import capsule_config
from itb.runs.retold import retell, seen_bars

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from itb.config import Config
    from itb.live.notify.grades import Expectation, Graded, Sent
    from itb.live.notify.mailroom import Mailroom
    from itb.mlmodels.labels import Label
    from itb.runs.capsule import Capsule
    from itb.runs.workspace import Workspace


def graded_labels(config: Config) -> dict[str, Label]:
    """Give the label of each score column."""
    return {column.name: column.label for column in columns(config)}


def grades_of(workspace: Workspace, capsule: Capsule, sent: Iterable[Sent]) -> list[Graded]:
    """Grade what a backtest would have sent, by the labels that its models were taught.

    A label that needs more than the market's own bars, such as a rank among coins, grades nothing here.
    """
    labels = graded_labels(capsule_config(workspace, capsule))
    by_column: dict[tuple[str, str], list[Sent]] = defaultdict(list)
    for one in sent:
        by_column[one.symbol, one.column].append(one)
    bars = {symbol: seen_bars(workspace, capsule, symbol) for symbol in {symbol for symbol, _ in by_column}}
    found: list[Graded] = []
    for (symbol, column), own in by_column.items():
        label = labels[column]
        try:
            found += grade(own, bars[symbol], label(bars[symbol]), is_binary=label.is_binary)
        except BarsError:
            continue
    return found


def expected_of(workspace: Workspace, capsule: Capsule) -> list[Expectation]:
    """Say what a finished backtest lets expect of what the configured outputs send."""
    binary = binary_of(capsule_config(workspace, capsule))
    people = People(workspace.config.notify.zone)
    reporters = [output.notifier.reporter(people) for output in outputs(workspace.config)]
    sent: list[Sent] = []
    for happened in retell(workspace, capsule):
        topics: set[str] = {message.topic for reporter in reporters for message in reporter.tell(happened)}
        sent += sent_of(happened, topics, binary)
    return expectations(grades_of(workspace, capsule, sent))


def binary_of(config: Config) -> Mapping[str, bool]:
    """Say of each score column whether its label comes true or not."""
    return {name: label.is_binary for name, label in graded_labels(config).items()}


def build_grader(workspace: Workspace, mailroom: Mailroom, expected: Sequence[Expectation] = ()) -> Grader:
    """Build what grades a live run, beside what a finished backtest lets expect where that is known.

    Results that leave the band ask for paper trading where ``notify.left_band`` says so.
    """
    config = workspace.config
    return Grader(mailroom, graded_labels(config), expected, may_step_down=config.notify.left_band == "paper")
