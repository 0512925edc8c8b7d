from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console

from itb.charts.data import Note, Tone
from itb.charts.search_data import Fact, VerdictWords
from itb.charts.search_terminal import search_summary


def shown(said: VerdictWords, *, color: bool = False, width: int = 100) -> str:
    console = Console(width=width, force_terminal=color, record=True, color_system="truecolor" if color else None)
    with console.capture() as capture:
        summary = search_summary(
            "BTC/USDT [bold]1h", "It made [red]nothing.", said, (("model.kind", "[x]"),),
            report=Path("studies/s/report.html"), command="itb optimize apply s",
        )  # fmt: skip
        console.print(summary)
    return capture.get()


def words(word: str, tone: Tone) -> VerdictWords:
    facts = (Fact("Deflated Sharpe", "0.27", "trust needs ≥ 0.95", "bad"), Fact("Median", "+0.1 %", "", "good"))
    return VerdictWords(
        word, f"{word}: PBO 0.60 > 0.5", tone, facts, (("Kept", "10 %"),), (Note("Unverified: bar 7", "bad"),)
    )


def test_block_says_word_reason_numbers_notes_settings_and_where_the_page_is() -> None:
    text = shown(words("overfit", "bad"))
    told = (
        "OVERFIT", "PBO 0.60 > 0.5", "Deflated Sharpe", "0.27", "✕", "trust needs ≥ 0.95", "Unverified: bar 7",
        "model.kind = [x]", "itb optimize apply s", "studies/s/report.html", "[bold]1h", "[red]nothing",
    )  # fmt: skip
    assert [said for said in told if said not in text] == []
    assert text.count("PBO 0.60") == 1


@pytest.mark.parametrize(
    ("word", "tone", "code"), [("trust", "good", 32), ("weak", "warn", 33), ("overfit", "bad", 31)]
)
def test_word_has_the_colour_of_its_tone(word: str, tone: Tone, code: int) -> None:
    assert re.search(rf"\x1b\[1;7;{code}m {word.upper()} ", shown(words(word, tone), color=True))


def test_block_fits_a_narrow_terminal() -> None:
    assert max(len(line) for line in shown(words("weak", "warn"), width=50).splitlines()) <= 50
