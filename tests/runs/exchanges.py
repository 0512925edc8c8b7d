"""Practice exchanges outlive their bots: what ends those that a test has left running."""

from __future__ import annotations

from pathlib import Path

from itb.runs.rehearsal import find_exchange


def end_exchanges(root: Path) -> None:
    """End the practice exchanges of all bots whose folders lie in or below ``root``."""
    for note in root.rglob("practice.json"):
        exchange = find_exchange(note.parent)
        if exchange is not None:
            exchange.stop()
