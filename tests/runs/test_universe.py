"""`itb data universe`, and runs on the markets that it chooses."""

from __future__ import annotations

import json
import math

import pytest

from itb.config import load_config
from itb.config.dump import dump_toml
from itb.errors import BarsError, ConfigError
from itb.market.bars import utc
from itb.runs.backtest import backtest
from itb.runs.market import load_bars
from itb.runs.universe import list_universe, with_universe

START = 1_704_067_200_000  # 2024-01-01


@pytest.fixture
def shop(workspace, stored):
    """A store with three coins, one of them young, and a workspace on it."""
    stored(symbol="BTC/USDT", positions=range(800))
    stored(symbol="ETH/USDT", positions=range(300, 800))
    stored(symbol="XYZ/BTC", positions=range(800))
    stored(symbol="OLD/USDT", positions=range(100))

    def make(*settings, **more):
        return workspace(*settings, options={"--exchange": "mine", **more})

    return make


def test_members_are_listed_with_the_figures_that_decided(shop):
    said = list_universe(shop("universe.min_age=20d"), "2024-01-21")
    traded = sum(100 + math.sin(hour / 9) for hour in range(19 * 24, 20 * 24))
    assert said.data["members"] == ["BTC/USDT"]
    table = {row[0]: row for row in said.table.rows}
    assert table["BTC/USDT"][1:4] == ("yes", f"{traded:,.0f}", "20.0")
    assert table["ETH/USDT"][-1] == "known for 7.5 days, 20.0 are asked for"
    assert table["OLD/USDT"][-1] == "no bar of it has closed since 2024-01-20 00:00 UTC"
    assert "XYZ/BTC" not in table
    assert said.lines == ("1 of 3 stored markets belong at 2024-01-21 00:00 UTC; what is not stored is not known.",)
    json.loads(said.json)


def test_without_a_moment_it_is_that_of_the_config_or_the_newest_bar(shop):
    assert list_universe(shop()).data["at"] == utc(START + 800 * 3_600_000)
    assert list_universe(shop("data.from=2024-01-03")).data["at"] == "2024-01-03 00:00 UTC"
    assert list_universe(shop("data.from=2024-01-03", "universe.at=2024-01-02")).data["at"] == "2024-01-02 00:00 UTC"


def test_refreshes_tell_who_joined_and_left(shop):
    said = list_universe(shop("universe.refresh_every=1d"), "2024-01-02", history=True)
    assert [(one["time"], one["joined"], one["left"]) for one in said.data["changes"]] == [
        ("2024-01-02 00:00 UTC", ["BTC/USDT", "OLD/USDT"], []),
        ("2024-01-07 00:00 UTC", [], ["OLD/USDT"]),
        ("2024-01-14 00:00 UTC", ["ETH/USDT"], []),
    ]
    assert said.lines == ("Members changed 2 times since 2024-01-02 00:00 UTC.",)
    whole = list_universe(shop("universe.refresh_every=1d"), history=True)
    assert whole.data["changes"][0]["time"] == "2024-01-01 01:00 UTC"


def test_a_run_trades_who_belonged_on_its_first_day(shop):
    settings = ("universe.use=true", "data.from=2024-01-10")
    chosen = with_universe(shop(*settings))
    assert chosen.config.data.symbols == ("BTC/USDT",)
    assert chosen.config.origins["data", "symbols"] == "[universe]"
    later = with_universe(shop("universe.use=true", "data.from=2024-01-15"))
    assert later.config.data.symbols == ("BTC/USDT", "ETH/USDT")


def test_the_chosen_config_chooses_no_more(shop, tmp_path):
    chosen = with_universe(shop("universe.use=true", "data.from=2024-01-10"))
    (tmp_path / "again.toml").write_text(dump_toml(chosen.config))
    again = load_config(tmp_path / "again.toml", environ={})
    assert (again.universe.use, again.data.symbols) == (False, ("BTC/USDT",))
    assert again.plain() == chosen.config.plain()


def test_a_symbol_on_the_command_line_wins(shop):
    asked = with_universe(shop("universe.use=true", **{"--symbol": ["ETH/USDT"]}))
    assert (asked.config.data.symbols, asked.config.universe.chosen_at) == (("ETH/USDT",), None)


def test_a_universe_without_a_first_day_or_without_members_is_refused(shop):
    with pytest.raises(ConfigError, match=r"universe\.use: needs data\.from \(or universe\.at\)"):
        with_universe(shop("universe.use=true"))
    with pytest.raises(ConfigError, match=r"nothing belongs at 2024-01-01 00:00 UTC \(BTC/USDT: no bar of it has"):
        with_universe(shop("universe.use=true", "data.from=2024-01-01"))


def test_without_bars_of_the_quote_currency_it_says_what_to_do(shop):
    with pytest.raises(BarsError, match=r"no 1h bars of mine against EUR are stored; see `itb data list`"):
        list_universe(shop("universe.quote=EUR"))


def test_a_run_that_chose_nobody_does_not_trade_the_default(shop):
    with pytest.raises(ConfigError, match=r"universe\.use: its members were not chosen"):
        load_bars(shop("universe.use=true", "data.from=2024-01-10"), "BTC/USDT")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("universe.window=0m", "universe.window: must be longer"),
        ("universe.refresh_every=0m", "universe.refresh_every"),
    ],
)
def test_lengths_of_nothing_name_their_key(shop, setting, message):
    with pytest.raises(ConfigError, match=message):
        list_universe(shop(setting))


def test_the_report_says_how_its_markets_were_chosen(shop):
    settings = ("universe.use=true", "universe.blacklist=['ETH', 'OLD']", "data.from=2024-01-05")
    (run,) = backtest(with_universe(shop(*settings)))
    notes = {note.text: note.tone for note in run.report.notes}
    assert any(text.startswith("Markets were chosen by [universe] as of 2024-01-05") for text in notes)
    assert "Markets were chosen after trading began: the choice knew what came next." not in notes
    (late,) = backtest(with_universe(shop(*settings, "universe.at=2024-02-02")))
    tones = {note.text: note.tone for note in late.report.notes}
    assert tones["Markets were chosen after trading began: the choice knew what came next."] == "bad"
