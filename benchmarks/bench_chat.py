"""What a storm of hostile updates costs a running bot: 10,000 of them in an A/B/B/A of calm and storm, in one life.

Run with ``python benchmarks/bench_chat.py [UPDATES]``. A bot rehearses on the practice exchange, a minute's bar every
tenth of a second, and listens to a Bot API on this machine. Told are milliseconds from a bar that is final to its
decision, as the bot's own event log has them; that log also proves that nothing was ordered. The Bot API that the storm
comes through works on the same cores, so what is told is more than the bot's own share.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.live.notify import test_hostile as storms
from tests.live.notify.bot_api import BotApi
from tests.runs.chatting import CONFIG, Chat

BARS_EACH = 150
PHASES = ("calm", "storm", "storm", "calm")


def ticks(chat: Chat) -> list[float]:
    """Give the seconds of each bar so far."""
    lines = (chat.home() / "events.jsonl").read_text().splitlines()
    events = (json.loads(line) for line in lines if '"TICK"' in line)
    return [float(event["seconds"]) for event in events]


def phase(chat: Chat, updates: int, draw: random.Random) -> list[float]:
    """Let bars go by while updates come in evenly; give how long each bar took."""
    before = len(ticks(chat))
    began, said = time.monotonic(), 0
    while (seen := len(ticks(chat)) - before) < BARS_EACH or said < updates:
        due = min(updates, round(updates * max(seen / BARS_EACH, 0.01)))
        for _ in range(said, due):
            chat.api.hear(storms.hostile(draw, ["abc"]))
        said = max(said, due)
        if time.monotonic() - began > 300:
            raise SystemExit("the bot does not decide any more")
        time.sleep(0.02)
    while chat.api.updates:
        time.sleep(0.02)
    return ticks(chat)[before : before + BARS_EACH]


def main(updates: int = 10_000) -> None:
    """Measure, and tell."""
    draw = random.Random(9)
    found: dict[str, list[list[float]]] = {"calm": [], "storm": []}
    with tempfile.TemporaryDirectory() as folder, BotApi() as api:
        api.now = storms.NOW = int(time.time())
        chat = Chat(Path(folder), api, CONFIG, ["--speed", "600", "--bars", "2500"])
        try:
            chat.until(lambda: (chat.home() / "events.jsonl").exists() and len(ticks(chat)) > 60, "the first bars")
            answered = len(api.sent())
            for name in PHASES:
                found[name].append(phase(chat, updates // 2 if name == "storm" else 0, draw))
            answers = len(api.sent()) - answered
        finally:
            chat.end()
    medians = {name: [1000 * statistics.median(part) for part in parts] for name, parts in found.items()}
    tails = {name: [1000 * statistics.quantiles(part, n=20)[-1] for part in parts] for name, parts in found.items()}
    for name in ("calm", "storm"):
        told = ", ".join(f"{m:.1f} (p95 {t:.1f})" for m, t in zip(medians[name], tails[name], strict=True))
        print(f"{name:>5}: median ms from bar to decision {told}")
    calm, storm = (statistics.fmean(medians[name]) for name in ("calm", "storm"))
    noise = max(medians["calm"]) / min(medians["calm"])
    print(f"storm of {updates:,} / calm: {storm / calm:.2f}, calm / calm: {noise:.2f}; {answers} answers, 0 expected")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
