"""Pictures for chats: they are drawn whole, say what they show, and a score is gathered by the documented rule."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from itb.charts.equity_picture import EquityPicture
from itb.charts.picture import THEMES, change
from itb.charts.score_blocks import ScoreBlocks, moving_average
from itb.charts.score_picture import Mark, ScorePicture
from itb.market.timeframe import Timeframe

HOUR = 3_600_000
SCORES = st.lists(st.one_of(st.floats(-1, 1), st.just(math.nan)), min_size=1, max_size=30)


def blocks(n: int = 200, step: int = HOUR) -> ScoreBlocks:
    at = np.arange(n)
    close = 100 + 5 * np.sin(at / 9)
    return ScoreBlocks(at * step + 1_709_251_200_000, close + 1, close - 1, close, 0.3 * np.cos(at / 9))


def image(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@given(SCORES, st.sampled_from(["1h", "4h", "1d"]))
def test_scores_are_gathered_by_the_rule(scores: list[float], length: str) -> None:
    n = len(scores)
    time, flat = (np.arange(n) + 3) * HOUR, np.arange(n, dtype=np.float64)
    found = ScoreBlocks(time, flat + 1, flat - 1, flat, np.array(scores)).gathered(Timeframe.parse(length))
    expected: dict[int, list[float]] = {}
    size = {"1h": 1, "4h": 4, "1d": 24}[length]
    for at, score in zip(range(3, n + 3), scores, strict=True):
        expected.setdefault(at // size * size, []).append(score)
    assert found.time.tolist() == [at * HOUR for at in expected]
    for value, inside in zip(found.score.tolist(), expected.values(), strict=True):
        there = [score for score in inside if not math.isnan(score)]
        if not there:
            assert math.isnan(value)
        elif all(score > 0 for score in there):
            assert value == max(there)
        elif all(score < 0 for score in there):
            assert value == min(there)
        else:
            assert value == pytest.approx(sum(there) / len(there), abs=1e-12)
    assert found.high.max() == n
    assert found.close[-1] == n - 1


@given(SCORES, st.integers(1, 8))
def test_a_moving_average_is_that_of_a_slow_loop(values: list[float], window: int) -> None:
    found = moving_average(np.array(values), window)
    for at in range(len(values)):
        inside = [v for v in values[max(0, at - window + 1) : at + 1] if not math.isnan(v)]
        if len(inside) >= max(1, window // 2):
            assert found[at] == pytest.approx(sum(inside) / len(inside), abs=1e-9)
        else:
            assert math.isnan(found[at])


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_score_picture_is_as_wide_as_a_phone_and_in_its_theme(theme: Any) -> None:
    marks = (Mark(1_709_251_200_000 + 40 * HOUR, 100.0, "buy"), Mark(1_709_251_200_000 + 80 * HOUR, 104.0, "sell"))
    drawn = ScorePicture("BTC/USDT 1h", "a note", blocks(), (0.2, -0.2), (24, 48), (12,), marks)
    data = drawn.png(theme)
    assert data == drawn.png(theme)
    picture = image(data)
    assert picture.size == (1170, 1200)
    background = picture.convert("RGB").getpixel((2, 2))
    assert "#{:02x}{:02x}{:02x}".format(*background) == THEMES[theme].page  # type: ignore[misc]


def colours_in(data: bytes) -> set[str]:
    found = image(data).convert("RGB").getcolors(1 << 24)
    assert found is not None
    return {"#{:02x}{:02x}{:02x}".format(*colour) for _, colour in found}  # type: ignore[misc]


def test_marks_thresholds_and_averages_are_drawn_when_there_are_some() -> None:
    flat = ScoreBlocks(blocks().time, blocks().high, blocks().low, blocks().close, np.full(200, np.nan))
    rising = THEMES["dark"].up if flat.close[-1] < flat.close[0] else THEMES["dark"].down
    plain = colours_in(ScorePicture("X", "", flat).png())
    full = colours_in(
        ScorePicture(
            "X",
            "",
            flat,
            (0.2,),
            marks=(Mark(int(flat.time[9]), 100.0, "buy"), Mark(int(flat.time[90]), 100.0, "sell")),
        ).png()
    )
    assert {THEMES["dark"].warn, rising} & plain == set()
    assert {THEMES["dark"].warn, rising} <= full


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_picture_of_very_few_bars_can_be_drawn(n: int) -> None:
    assert image(ScorePicture("$X^2$ & <b>", "$n_1$", blocks(n)).png()).size == (1170, 1200)
    one = blocks(n)
    assert image(EquityPicture("Account", "", one.time, one.close, "USDT").png()).size[0] == 1170


def test_a_picture_without_any_score_can_be_drawn() -> None:
    empty = ScoreBlocks(blocks().time, blocks().high, blocks().low, blocks().close, np.full(200, np.nan))
    assert image(ScorePicture("X", "", empty, (), (24,), (12,)).png()).size == (1170, 1200)


@pytest.mark.parametrize("step", [60_000, HOUR, 24 * HOUR, 7 * 24 * HOUR])
def test_an_equity_picture_can_be_drawn_for_minutes_and_for_years(step: int) -> None:
    shown = blocks(300, step)
    hold = shown.close[::-1].copy()
    drawn = EquityPicture("Account", "a note", shown.time, shown.close, "USDT", hold, "America/New_York")
    assert image(drawn.png("light")).size == (1170, 1014)


def test_a_small_change_shows_its_digits() -> None:
    assert [change(x) for x in (0.004, 0.005, -0.25)] == ["+0.40 %", "+0.5 %", "−25.0 %"]
