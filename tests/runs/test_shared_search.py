"""`itb optimize` on symbols that trade one account, through the command line's own functions."""

import importlib.util
import json
import math

import numpy as np
import pytest

from itb.config import load_config
from itb.errors import BarsError, ConfigError, RunError
from itb.optimize.shared_candidate import SharedBacktestCandidate
from itb.runs.optimize import Asked, apply, optimize, search_account, walk_forward, worker
from itb.runs.search_chance import _exposures
from itb.runs.search_judge import hold_returns
from itb.runs.search_markets import accounts
from itb.runs.shared import compute_shared
from itb.runs.study import open_study
from itb.runs.workspace import Workspace
from tests.runs.searched import workspace

THREE = ("data.symbols=['BTC/USDT', 'ETH/USDT', 'SOL/USDT']", "account.shared=true", "synthetic.bars=2000")
DAY = 86_400_000


def given(folder, *settings):
    return workspace(folder, *THREE, *settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def done(folder):
    place = given(folder)
    (account,) = accounts(place.config)
    return search_account(place, account, Asked(trials=12))


def test_one_study_searches_all_symbols_of_the_account(done, folder):
    assert done.study.markets.symbols == ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    assert done.study.name.startswith("3symbols-1h-")
    assert len(done.records) == 12
    assert len(done.judged.confirmations) == 3
    assert done.judged.is_verified
    told = json.loads((done.study.folder / "verdict.json").read_text())
    assert told["symbol"] == "BTC/USDT, ETH/USDT, SOL/USDT"
    page = (done.study.folder / "report.html").read_text()
    assert "3 symbols 1h" in page


def test_most_trials_are_swept_and_those_are_backtraders_to_the_billionth(done):
    swept = [one for one in done.judged.confirmations if one.screened.source == "vectorbt"]
    assert swept
    for one in swept:
        assert one.screened is not one.confirmed
        np.testing.assert_allclose(one.screened.equity, one.confirmed.equity, rtol=1e-9)


def test_every_symbol_counts_every_trial_as_a_look(done, folder):
    looks = given(folder).register.looks()
    by_symbol = {
        symbol: sum(one.trials for one in looks if one.symbol == symbol) for symbol in done.study.markets.symbols
    }
    assert set(by_symbol.values()) == {12}
    assert done.judged.verdict.trials_raw == 12


def test_a_second_run_adds_nothing_and_the_helper_goes_on(done, folder):
    again = optimize(given(folder), Asked(trials=12)).data["studies"][0]
    assert (again["study"], again["trials"]) == (done.study.name, 12)
    assert worker(Workspace(load_config(overrides=[f"runs.root={folder / 'runs'}"], environ={})),
                  Asked(trials=12, name=done.study.name)).data["trials"] == 12  # fmt: skip


def test_the_trial_is_what_a_backtest_of_its_settings_earns_day_by_day(done, folder):
    """The applied config is an account of its own; from the search's first step on it earns what the trial did."""
    file = folder / "picked.toml"
    base = given(folder)
    base = Workspace(base.config.of(None, folder, base.config.origins))
    apply(base, Asked(name=done.study.name), done.judged.best.slot, file)
    picked = load_config(file, environ={})
    assert picked.account.shared
    outcome = compute_shared(Workspace(picked), "r")
    result, start = outcome.result, done.study.sides.start
    begun = int(done.study.markets.clock.open_time[start])
    before = [fill for fill in result.fills if fill.open_time <= begun]
    assert not before, "the model side that speaks first was picked: nothing is traded earlier"
    daily = {}
    for time, equity in zip(result.clock.close_time.tolist(), result.equity.tolist(), strict=True):
        daily[(time - 1) // DAY] = equity
    first = (begun + 3_600_000 - 1) // DAY
    days = [daily[day] for day in sorted(daily) if day >= first]
    returns = np.array(days) / np.array([result.starting_cash, *days[:-1]]) - 1
    np.testing.assert_allclose(done.judged.best.performance.daily, returns, atol=1e-7)  # stored as float32


def test_holding_is_an_equal_part_of_each(done):
    study, expected = done.study, []
    clock, cash = study.markets.clock, study.config.backtest.cash
    cost = 1 + (study.config.costs.taker_fee_bps + study.config.costs.slippage_bps) / 1e4
    worth = {}
    for time in clock.open_time[study.sides.start :].tolist():
        total = 0.0
        for market in study.markets.markets:
            bars = market.bars
            row = int(np.searchsorted(bars.open_time, time))
            entry = study.markets.start_of(market, study.sides.start) + 1
            part = cash / 3
            total += part / (bars.open[entry] * cost) * bars.close[row] if row >= entry else part
        worth[time // DAY] = total
    values = list(worth.values())
    expected = np.array(values) / np.array([cash, *values[:-1]]) - 1
    np.testing.assert_allclose(hold_returns(study.sides), expected, atol=2e-6)


def test_exposure_by_chance_meets_the_market_of_its_time(done):
    result = done.study.sides.of(done.judged.best).backtest(done.judged.best.parameters)
    held, moves = _exposures(result, done.study.sides.start)
    assert held.shape == moves.shape == (len(result.clock) - done.study.sides.start - 1, 3)
    gained = (held * moves).sum(axis=1) * result.equity[done.study.sides.start : -1]
    fills = {fill.open_time for fill in result.fills}
    quiet = [
        step
        for step in range(len(gained))
        if int(result.clock.open_time[done.study.sides.start + step + 1]) not in fills
    ]
    change = np.diff(result.equity[done.study.sides.start :])
    np.testing.assert_allclose(gained[quiet], change[quiet], atol=1e-6)
    assert not math.isnan(done.judged.verdict.permutation_p)
    assert math.isnan(done.judged.verdict.random_entry_p)


def test_walk_forward_carries_the_positions_of_the_account(folder):
    told = walk_forward(given(folder), Asked(trials=4)).data["walk_forward"][0]
    assert [row["window"] for row in told["drift"]] == [2, 3, 4, 5]
    assert told["carried"]


def test_the_hold_outs_of_all_symbols_are_opened_once_and_recorded(tmp_path):
    settings = ("synthetic.bars=2300", "data.holdout_from=2023-03-25", "search.confirm=1")
    told = optimize(given(tmp_path, *settings), Asked(trials=4), open_holdout=True)
    place = given(tmp_path, *settings)
    assert {one.market for one in place.register.holdout_openings()} == {look.market for look in place.register.looks()}
    assert "opened once, recorded for ever" in "\n".join(told.lines)
    opened = [look for look in place.register.looks() if look.command == "optimize --open-holdout"]
    assert len(opened) == 3
    begun = 1_679_702_400_000
    assert all(look.from_ms == begun for look in opened)
    assert told.data["studies"][0]["holdout"]["days"] == pytest.approx((opened[0].to_ms - begun) / DAY)


def test_pooled_models_and_the_account_itself_can_be_searched(tmp_path):
    space = ("search.space.account.max_open_trades=[1, 3]", "training.pooled=true", "search.permuted_labels=2")
    more = ("search.trade_sides=3", "search.confirm=1")
    told = optimize(given(tmp_path, *space, *more), Asked(trials=6)).data["studies"][0]
    assert told["best"]["parameters"]["account.max_open_trades"] in (1, 3)
    assert told["verdict"]["label_permutations"] == 2
    assert told["verified"]


def test_whether_the_account_is_shared_is_no_setting_to_search(tmp_path):
    with pytest.raises(ConfigError, match=r"account\.shared.*is one account or several"):
        open_study(given(tmp_path, "search.space.account.shared=[true, false]"), "BTC/USDT", Asked())


def test_a_strategy_of_ones_own_trades_the_account(tmp_path):
    (tmp_path / "own.py").write_text(
        "from itb.strategies.ml_threshold import MLThreshold\n\n\nclass Own(MLThreshold):\n    pass\n"
    )
    settings = (f"strategy.name={tmp_path / 'own.py'}:Own", "search.windows=4")
    place = given(tmp_path, *settings)
    done = search_account(place, accounts(place.config)[0], Asked(trials=4))
    assert isinstance(done.study.sides(done.judged.best.parameters), SharedBacktestCandidate)
    assert not done.judged.confirmations
    assert {record.performance.engine for record in done.judged.measured} == {"backtrader"}


def test_a_symbol_that_ends_before_the_search_begins_is_named(tmp_path, monkeypatch):
    place = given(tmp_path)
    (account,) = accounts(place.config)
    from itb.runs import search_markets

    loaded = search_markets.load_market

    def short(workspace, symbol, **more):
        import dataclasses

        market = loaded(workspace, symbol, **more)
        return dataclasses.replace(market, bars=market.bars.head(100)) if symbol == "ETH/USDT" else market

    monkeypatch.setattr(search_markets, "load_market", short)
    with pytest.raises(BarsError, match=r"ETH/USDT 1h: ends .* before the search begins, .*; leave it out"):
        open_study(place, account, Asked())


def test_one_name_is_one_study_also_for_several_symbols(tmp_path):
    told = optimize(given(tmp_path, "search.confirm=1"), Asked(trials=4, name="mine")).data["studies"][0]
    assert told["study"] == "mine"
    with pytest.raises(RunError, match="3 symbols make as many"):
        optimize(given(tmp_path, "account.shared=false"), Asked(trials=4, name="yours"))


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_a_network_is_trained_once_for_a_model_side_of_the_account(tmp_path, monkeypatch):
    from itb.runs import deep

    walked, walks = deep._deep_scores, []
    monkeypatch.setattr(deep, "_deep_scores", lambda *args: walks.append(1) or walked(*args))
    network = "models=[{algorithm='resnet1d', steps=8, blocks=1, filters=4, epochs=1, batch_rows=64}]"
    settings = [
        "data.symbols=['BTC/USDT', 'ETH/USDT']", "account.shared=true", "synthetic.bars=900", network,
        "label={kind='future_return', horizon=6, alias='ahead'}", f"runs.root={tmp_path / 'runs'}",
        "walkforward={train=300, refit_every=200, min_train_rows=50, workers=1}",
        "strategy={score='ahead_resnet1d', buy_threshold=0.0, sell_threshold=-0.1}",
        "search.space.models.0.filters=[4, 6]", "search.space.strategy.buy_threshold={low=-0.05, high=0.05}",
        "search.windows=3", "search.trade_sides=2", "search.confirm=1", "search.permuted_labels=1",
    ]  # fmt: skip
    place = Workspace(load_config(overrides=settings, environ={}))
    told = optimize(place, Asked(trials=4)).data["studies"][0]
    assert told["verified"]
    assert len(walks) == 3  # two model sides, and one on permuted labels
    kept = sorted((tmp_path / "runs" / ".cache" / "walkforward").rglob("*"))
    assert optimize(place, Asked(trials=4)).data["studies"][0]["trials"] == 4
    assert sorted((tmp_path / "runs" / ".cache" / "walkforward").rglob("*")) == kept
