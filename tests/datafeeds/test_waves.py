from collections.abc import Callable

import numpy as np
import pytest

from itb.datafeeds.waves import sinus, triangle
from itb.market.bars import Bars

Feed = Callable[..., Bars]


@pytest.mark.parametrize("feed", [sinus, triangle])
class TestWave:
    def test_price_swings_between_196_and_204_around_200(self, feed: Feed) -> None:
        bars = feed(bars=3600)
        assert bars.low.min() == 196
        assert bars.high.max() == 204
        assert bars.close.mean() == pytest.approx(200)

    def test_it_repeats_after_360_minutes(self, feed: Feed) -> None:
        bars = feed(bars=1080)
        for name in ("open", "high", "low", "close", "volume"):
            np.testing.assert_allclose(bars[name][:720], bars[name][360:], rtol=1e-12, atol=1e-9)

    def test_volume_is_100_in_the_middle_and_0_at_the_turns(self, feed: Feed) -> None:
        bars = feed(bars=360)
        np.testing.assert_allclose(bars.volume, 100 * (1 - np.abs(bars.close - 200) / 4), atol=1e-9)

    def test_every_bar_opens_where_the_last_one_closed(self, feed: Feed) -> None:
        bars = feed(bars=500, timeframe="5m")
        assert np.array_equal(bars.open[1:], bars.close[:-1])

    def test_coarser_bars_see_the_turn_inside_them(self, feed: Feed) -> None:
        bars = feed(bars=6, timeframe="2h")
        assert bars.high[0] == 204
        assert bars.low[2] == pytest.approx(196)

    def test_no_bars_are_refused(self, feed: Feed) -> None:
        with pytest.raises(ValueError, match="at least 1, was 0"):
            feed(bars=0)
