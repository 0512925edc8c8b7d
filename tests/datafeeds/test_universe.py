"""Who belongs to a universe, by bars that had closed at the time and nothing else."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.datafeeds.universe import Candidate, Universe, changes, refreshes
from itb.datafeeds.universe_rules import IdleShare, ListingAge, QuoteVolume, Spread
from itb.laws.causal import poison_after
from itb.market.bars import Bars

HOUR, DAY = 3_600_000, 86_400_000
ALL = (QuoteVolume(), ListingAge(), Spread(), IdleShare())


def bars_of(symbol, hours, volume, price=10.0, **more):
    """Bars at given hours, one price for all of them."""
    volume = np.broadcast_to(np.asarray(volume, dtype=float), len(hours))
    prices = dict.fromkeys(("open", "high", "low", "close"), np.full(len(hours), price))
    return Bars.of(symbol, "1h", np.asarray(hours) * HOUR, **prices, volume=volume, **more)


def market(seed, symbol="BTC/USDT", span=200):
    """Bars with gaps and idle ones, that begin and end anywhere."""
    rng = np.random.default_rng(seed)
    first = int(rng.integers(0, span // 2))
    last = int(rng.integers(first + 2, span))
    hours = np.arange(first, last)
    hours = hours[(rng.random(len(hours)) < 0.9) | (hours == first)]
    volume = rng.gamma(1.0, 5.0, len(hours)) * (rng.random(len(hours)) < 0.8)
    more = {}
    if rng.random() < 0.5:
        more["quote_volume"] = np.where(rng.random(len(hours)) < 0.2, np.nan, volume * 9.5)
    if rng.random() < 0.5:
        more |= {"bid": rng.uniform(9.9, 9.99, len(hours)), "ask": rng.uniform(10.01, 10.1, len(hours))}
    return bars_of(symbol, hours, volume, **more)


def slow_figures(bars, at_ms, window_ms):
    """Go through the bars one by one."""
    volume, traded, spreads, any_bar = 0.0, 0, [], False
    for i, opened in enumerate(bars.open_time):
        if not at_ms - window_ms < opened + HOUR <= at_ms:
            continue
        any_bar = True
        own = bars.volume[i] * bars.close[i]
        told = bars.columns["quote_volume"][i] if "quote_volume" in bars.columns else math.nan
        volume += own if math.isnan(told) else told
        traded += bars.volume[i] > 0
        if "bid" in bars.columns:
            bid, ask = bars["bid"][i], bars["ask"][i]
            spreads.append((ask - bid) / (0.5 * (bid + ask)) * 10_000)
    spread = sorted(spreads)[len(spreads) // 2] if len(spreads) % 2 else math.nan
    if spreads and not len(spreads) % 2:
        spread = sum(sorted(spreads)[len(spreads) // 2 - 1 : len(spreads) // 2 + 1]) / 2
    age = (at_ms - int(bars.open_time[0])) / DAY
    return [volume * DAY / window_ms, age, spread, 1 - min(1, traded / (window_ms // HOUR))] if any_bar else None


TIMES = st.integers(0, 220 * 60).map(lambda minute: minute * 60_000)
SEEDS = st.integers(0, 10_000)


@given(seed=SEEDS, at_ms=TIMES, window=st.sampled_from([6, 24, 72]))
def test_figures_are_those_of_a_slow_walk(seed, at_ms, window):
    bars = market(seed)
    (one,) = Universe(ALL, window_ms=window * HOUR).judge([Candidate.of(bars)], at_ms)
    expected = slow_figures(bars, at_ms, window * HOUR)
    if bars.open_time[0] + HOUR > at_ms or expected is None:
        assert (one.is_member, one.figures) == (False, {})
    else:
        assert list(one.figures.values()) == pytest.approx(expected, nan_ok=True)


LIMITED = Universe(
    (QuoteVolume(400.0), ListingAge(DAY), Spread(60.0), IdleShare(0.5)), always=("SOL/USDT",), most=2, window_ms=DAY
)


@given(seeds=st.lists(SEEDS, min_size=4, max_size=4), at_ms=TIMES)
def test_membership_uses_bars_that_had_closed_and_nothing_else(seeds, at_ms):
    names = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "ADA/USDT")
    every = [market(seed, name) for seed, name in zip(seeds, names, strict=True)]
    usual = LIMITED.judge([Candidate.of(bars) for bars in every], at_ms)
    rng = np.random.default_rng(seeds[0])
    worlds = ([], [])
    for bars in every:
        known = int(np.searchsorted(bars.close_time, at_ms, "right"))
        if known:
            worlds[0].append(Candidate.of(bars.head(known)))
            worlds[1].append(Candidate.of(poison_after(bars, known - 1, rng)))
    for world in worlds:
        again = {one.symbol: one for one in LIMITED.judge(world, at_ms)}
        for one in usual:
            assert again.get(one.symbol, one) == one or str(again[one.symbol]) == str(one)  # a NaN is no NaN
            assert one.symbol in again or not one.is_member


def judged(universe, *every, at=48, **more):
    found = universe.judge([Candidate.of(bars) for bars in every], at * HOUR, **more)
    return {one.symbol: (one.is_member, one.why) for one in found}


@pytest.fixture
def two_days():
    return bars_of("BTC/USDT", range(48), 1.0)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (QuoteVolume(241.0), "only 240 are traded in a day, 241 are asked for"),
        (ListingAge(3 * DAY), "known for 2.0 days, 3.0 are asked for"),
        (IdleShare(0.0), ""),
        (Spread(1.0), ""),
        (QuoteVolume(240.0), ""),
        (ListingAge(2 * DAY), ""),
    ],
)
def test_a_limit_is_kept_to_the_unit(two_days, rule, why):
    assert judged(Universe((rule,)), two_days)["BTC/USDT"] == (not why, why or "by rule")


def test_every_objection_is_told(two_days):
    found = judged(Universe((QuoteVolume(1e9), ListingAge(9 * DAY))), two_days)["BTC/USDT"]
    assert found == (
        False,
        "only 240 are traded in a day, 1,000,000,000 are asked for; known for 2.0 days, 9.0 are asked for",
    )


def test_missing_bars_are_bars_without_a_trade():
    sparse = bars_of("BTC/USDT", range(0, 48, 2), 1.0)
    assert (
        judged(Universe((IdleShare(0.49),)), sparse)["BTC/USDT"][1]
        == "no trade in 50.0 % of the bars, 49.0 % are allowed"
    )
    assert judged(Universe((IdleShare(0.5),)), sparse)["BTC/USDT"][0]


def test_a_wide_spread_is_out_and_an_unknown_one_is_in(two_days):
    wide = bars_of("ETH/USDT", range(48), 1.0, spread_bps=np.full(48, 12.0))
    found = judged(Universe((Spread(10.0),)), two_days, wide)
    assert found == {"BTC/USDT": (True, "by rule"), "ETH/USDT": (False, "a spread of 12.0 bps, 10.0 bps are allowed")}


def test_a_bar_that_has_not_closed_is_not_known(two_days):
    assert judged(Universe(), two_days, at=0)["BTC/USDT"] == (False, "no bar of it has closed yet")
    assert judged(Universe(), two_days, at=1)["BTC/USDT"] == (True, "by rule")


def test_a_market_that_fell_silent_is_out_even_if_it_always_belongs(two_days):
    found = judged(Universe(always=("BTC/USDT",)), two_days, at=73)
    assert found["BTC/USDT"] == (False, "no bar of it has closed since 1970-01-03 01:00 UTC")


def test_what_always_belongs_and_what_is_owned_needs_no_rule(two_days):
    other, third = bars_of("ETH/USDT", range(48), 1.0), bars_of("SOL/USDT", range(48), 1.0)
    universe = Universe((QuoteVolume(1e9),), always=("BTC/USDT",), owned_above=5.0)
    found = judged(universe, two_days, other, third, owned={"ETH/USDT": 5.5, "SOL/USDT": 5.0})
    assert [why for _, why in found.values()][:2] == ["always", "owned"]
    assert not found["SOL/USDT"][0]


def test_a_blacklist_wins_over_everything(two_days):
    coin = Universe(always=("BTC/USDT",), blacklist=("BTC",))
    assert judged(coin, two_days, owned={"BTC/USDT": 1e9})["BTC/USDT"] == (False, "blacklisted")
    assert judged(Universe(blacklist=("BTC/USDT",)), two_days)["BTC/USDT"] == (False, "blacklisted")


def test_the_most_traded_stay():
    every = [bars_of(f"{name}/USDT", range(48), volume) for name, volume in zip("ABCD", (1, 4, 3, 2), strict=True)]
    found = judged(Universe(most=2, always=("A/USDT",)), *every)
    assert [symbol for symbol, (is_member, _) in found.items() if is_member] == ["B/USDT", "C/USDT", "A/USDT"]
    assert found["D/USDT"] == (False, "2 others trade more")


@given(start=st.integers(0, 500), length=st.integers(0, 500), every=st.integers(1, 60))
def test_refreshes_lie_on_a_raster_that_the_start_does_not_move(start, length, every):
    times = refreshes(start, start + length, every)
    assert list(times) == [t for t in range(start, start + length) if t == start or t % every == 0]


def test_a_refresh_that_changes_nothing_is_left_out():
    chosen = {0: ("A",), 10: ("A",), 20: ("B", "A"), 30: ("B",)}
    found = list(changes(chosen.__getitem__, chosen))
    assert [(one.time_ms, one.joined, one.left) for one in found] == [
        (0, ("A",), ()),
        (20, ("B",), ()),
        (30, (), ("A",)),
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Universe(window_ms=0), "window must be longer than 0"),
        (lambda: Universe((ListingAge(),), most=3), "most needs the rule of the quote volume"),
        (lambda: QuoteVolume(-1.0), "min_quote_volume must be 0 or more, was -1"),
        (lambda: Spread(math.nan), "max_spread_bps must be 0 or more, was nan"),
        (lambda: IdleShare(1.5), r"max_idle_share must be a fraction in \[0, 1\], was 1.5"),
        (lambda: refreshes(0, 10, 0), "refresh_every must be longer than 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
