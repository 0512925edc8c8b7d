from collections.abc import Callable
from pathlib import Path

import pytest

from itb.config import load_config
from itb.config.parts import feature_set
from itb.errors import ConfigError

Write = Callable[[str], Path]


def names(write: Write, *tables: str, columns: tuple[str, ...] = ()) -> tuple[str, ...]:
    write("\n".join(f"[[features]]\n{table}" for table in tables))
    return feature_set(load_config(), columns).names


def test_a_prefix_stands_before_every_name(write: Write) -> None:
    table = 'family = "series"\ninputs = ["range", "body"]\nprefix = "spot"'
    assert names(write, table) == ("spot_range", "spot_body")


def test_a_prefix_tells_two_families_apart(write: Write) -> None:
    klines = 'family = "klines"\nfunctions = ["close_STD"]\nwindows = [5]\nbase_window = 60'
    stats = 'family = "itbstats"\nfunctions = ["std"]\nwindows = [5]'
    assert names(write, f'{klines}\nprefix = "k"', stats) == ("k_close_std_5", "close_std_5")
    with pytest.raises(ConfigError, match="two features make the column 'close_std_5'; give one of them a prefix"):
        names(write, klines, stats)


def test_a_source_gives_its_name_unless_a_prefix_does(write: Write) -> None:
    table = 'family = "series"\ninputs = ["range"]\nsource = "perp"'
    assert names(write, table) == ("perp_range",)
    assert names(write, f'{table}\nprefix = "swap"') == ("swap_range",)
    assert names(write, f'{table}\nprefix = ""') == ("range",)


def test_coins_timeframes_and_shifts_multiply_and_are_named(write: Write) -> None:
    table = 'family = "series"\ninputs = ["range"]\ncoins = ["eth"]\ntimeframes = ["4h", "1d"]\nshifts = [1, 2]'
    found = names(write, table)
    assert found == tuple(
        f"{coin}{timeframe}range{shift}"
        for coin in ("", "eth_")
        for timeframe in ("", "4h_", "1d_")
        for shift in ("", "_shift_1", "_shift_2")
    )
    assert names(write, f'{table}\nprefix = "x"')[9] == "x_eth_range"


def test_the_longest_timeframe_decides_how_far_back_is_looked(write: Write) -> None:
    write('[[features]]\nfamily = "stats"\nfunctions = ["mean"]\nwindows = [10]\ntimeframes = ["1d"]\nshifts = [2]')
    assert feature_set(load_config()).warmup == (10 + 2 + 1) * 24 + 22


def test_order_flow_is_added_where_the_source_has_it(write: Write) -> None:
    table = 'family = "default"\ncoins = ["eth", "sol"]'
    found = names(write, table, columns=("taker_buy_base", "trades", "eth_taker_buy_base", "eth_trades"))
    assert {name for name in found if name.endswith("trade_size_ratio_3_24")} == {
        "trade_size_ratio_3_24",
        "eth_trade_size_ratio_3_24",
    }


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ('timeframes = ["30m"]', "features[1].timeframes: must be made of whole bars of 1h, was 30m"),
        ('timeframes = ["1h"]', "features[1].timeframes: must be made of whole bars of 1h, was 1h"),
        ("shifts = [0, 1]", "features[1].shifts: must be 1 or more bars ago (0 is there anyway), was 0"),
        ("shifts = [1, 1]", "features[1].shifts: expected each once, 1 is there twice"),
        ('shifts = "1"', 'features[1].shifts: expected a list, was "1"'),
        ('timeframes = ["4x"]', "features[1].timeframes[1]: "),
        ('source = ""', "features[1].source: expected a name"),
        ('coin = ["eth"]', 'features[1].coin: unknown key; did you mean "coins"?'),
    ],
)
def test_a_wrong_key_is_one_line_with_its_place(write: Write, keys: str, expected: str) -> None:
    write(f'[[features]]\nfamily = "time"\n{keys}')
    with pytest.raises(ConfigError) as caught:
        feature_set(load_config())
    assert str(caught.value).startswith(f"itb.toml: {expected}")
    assert "\n" not in str(caught.value)
