"""`[[sources]]`: what is taken, what is refused in one line, what stands in for what is not set."""

from collections.abc import Callable
from pathlib import Path

import pytest

from itb.config import Config, load_config
from itb.config.dump import config_hash, dump_toml
from itb.config.values import Length
from itb.errors import ConfigError

Write = Callable[[str], Path]

PERP = '[[sources]]\nname = "perp"\nexchange = "binance-usdm"\nsymbol = "BTC/USDT:USDT"\n'
SETTLED = '[[sources]]\nname = "funding"\nkind = "funding"\n'
FUNDING = '[[sources]]\nname = "funding"\nkind = "table"\nfile = "f.csv"\ntime = "event"\n'


def test_bars_are_known_at_their_close_and_events_a_minute_later(write: Write) -> None:
    write(PERP + FUNDING)
    perp, funding = load_config().sources
    assert (perp.put_before, perp.delay_ms, perp.max_age_ms, perp.symbol) == ("perp", 0, None, "BTC/USDT:USDT")
    assert (funding.put_before, funding.delay_ms, funding.gaps) == ("funding", 60_000, "refuse")


def test_lengths_may_be_nothing_or_milliseconds(write: Write) -> None:
    write(FUNDING + 'delay = "0m"\nmax_age = "1500ms"\n')
    (funding,) = load_config().sources
    assert (funding.delay_ms, funding.max_age_ms) == (0, 1500)
    assert [str(Length(ms)) for ms in (0, 1500, 60_000, 7 * 86_400_000)] == ["0m", "1500ms", "1m", "7d"]


def test_what_is_shown_loads_back_and_counts_in_the_hash(write: Write) -> None:
    path = write(PERP + 'columns = { close = "last" }\n' + FUNDING + 'columns = ["funding_rate"]\nprefix = ""\n')
    config = load_config()
    path.write_text(dump_toml(config))
    assert load_config().plain() == config.plain()
    assert config_hash(config) != config_hash(Config())
    assert "sources" not in Config().plain()


def test_a_source_is_found_by_its_name(write: Write) -> None:
    write(PERP)
    config = load_config()
    assert config.source_named("perp") is config.sources[0]
    assert config.source_named("spot") is None


def test_what_an_exchange_tells_of_a_perpetual_is_of_the_coin_that_is_traded(write: Write) -> None:
    write('[[sources]]\nname = "funding"\nkind = "funding"\n[[sources]]\nname = "mark"\nkind = "mark"\n' + PERP)
    funding, mark, perp = load_config().sources
    assert (funding.delay_ms, funding.are_events, mark.delay_ms, mark.are_events) == (60_000, True, 0, False)
    assert [one.market("ETH/USDT") for one in (funding, mark, perp)] == 2 * ["ETH/USDT:USDT"] + ["BTC/USDT:USDT"]
    assert funding.market("ETH/USDT:USDT") == "ETH/USDT:USDT"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PERP + PERP, "sources: expected each name once, perp is there twice"),
        ('[[sources]]\nname = "my perp"', "sources[1].name: expected letters, digits and underscores"),
        (PERP + 'prefix = "a-b"', "sources[1].prefix: expected letters, digits and underscores, or nothing"),
        ("[[sources]]\n", "sources[1].name: missing"),
        (PERP + 'time = "event"', 'sources[1].time: must be "open" for bars'),
        (PERP + 'dely = "1m"', 'sources[1].dely: unknown key; did you mean "delay"?'),
        (PERP + 'delay = "soon"', 'sources[1].delay: expected a length such as "1m", "30s" or "8h", was \'soon\''),
        (PERP + "delay = -1", 'sources[1].delay: expected a length such as "1m"'),
        (PERP + "columns = []", "sources[1].columns: expected at least one column"),
        (PERP + 'columns = ["a", "a"]', "sources[1].columns: expected each column once, a is there twice"),
        (PERP + 'columns = { a = "c", b = "c" }', "sources[1].columns: expected each column once, c is there twice"),
        ('[[sources]]\nname = "x"\nkind = "table"', "sources[1].file: must be given"),
        (FUNDING.replace('time = "event"', ""), "sources[1].time: must be given for a table"),
        (FUNDING + 'symbol = "BTC/USDT"', "sources[1].symbol: must be left out for a table"),
        (FUNDING + 'timeframe = "8h"', "sources[1].timeframe: must be left out for events"),
        (SETTLED + 'file = "f.csv"', "sources[1].file: must be left out for kind"),
        (SETTLED + 'timeframe = "8h"', "sources[1].timeframe: must be left out for kind"),
        (SETTLED + 'time = "open"', 'sources[1].time: must be "event" for settlements'),
        (SETTLED + 'gaps = "empty"', "sources[1].gaps: must be left out for events"),
        ('[[sources]]\nname = "m"\nkind = "mark"\nfile = "f.csv"', "sources[1].file: must be left out for kind"),
        (FUNDING + 'gaps = "flat"', "sources[1].gaps: must be left out for events"),
        (FUNDING.replace("event", "open"), 'sources[1].timeframe: must be given with time = "open"'),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(write: Write, text: str, expected: str) -> None:
    write(text)
    with pytest.raises(ConfigError) as error:
        load_config()
    assert str(error.value).removeprefix("itb.toml: ")[: len(expected)] == expected
