"""Signals as the last stage of scoring, as columns that a strategy trades, and as files."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from itb.errors import ConfigError
from itb.runs.backtest import backtest
from itb.runs.laws import check
from itb.runs.market import load_market
from itb.runs.model import score_columns, score_ranges
from itb.runs.signal_files import write_signals
from itb.runs.strategy import check_settings

SIGNALS = (
    "signals=[{kind='smoothen', columns=['rise_logistic'], names='calm', window=3}, "
    "{kind='combine', columns=['calm', 'rise_linear'], names='score', combine='difference'}, "
    "{kind='threshold_rule', columns='score', names=['buy', 'sell'], buy_signal_threshold=0.0, "
    "sell_signal_threshold=-0.02}]"
)
TRADES = ("strategy.name=SignalStrategy", "strategy.sizing=fixed_notional")


@pytest.fixture
def signalled(several):
    return lambda *settings, **more: several(SIGNALS, *TRADES, *settings, **more)


def test_the_columns_of_the_signals_come_behind_the_scores_with_their_ranges(signalled):
    ranges = score_ranges(signalled().config)
    assert list(ranges)[-4:] == ["calm", "score", "buy", "sell"]
    assert (ranges["calm"], ranges["buy"]) == ((0.0, 1.0), (0.0, 1.0))


def test_each_flag_is_what_the_scores_say_and_unknown_where_they_are(signalled):
    workspace = signalled()
    scored = score_columns(workspace, load_market(workspace, "BTC/USDT", run_id="r", command="test"))
    values = {name: source.batch() for name, source in scored.scores.items()}
    rows = np.arange(len(values["buy"]))
    for row in rows:
        window = values["rise_logistic"][max(0, row - 2) : row + 1]
        known = window[~np.isnan(window)]
        score = known.mean() - values["rise_linear"][row] if len(known) else np.nan
        expected = np.nan if np.isnan(score) else float(score >= 0)
        np.testing.assert_equal(values["buy"][row], expected)
    assert {0.0, 1.0} <= set(values["buy"])


def test_a_strategy_trades_the_flags_and_every_stepping_agrees(signalled):
    runs = {
        engine: backtest(signalled(f"backtest.engine={engine}"))[0].outcome.result
        for engine in ("sparse", "dense", "plain")
    }
    assert [run.stepped for run in runs.values()] == ["sparse", "dense", "plain"]
    assert len(runs["sparse"].fills) > 10
    assert runs["sparse"].fills == runs["dense"].fills == runs["plain"].fills
    assert runs["sparse"].orders == runs["plain"].orders


def test_the_laws_hold_for_a_strategy_on_signals(signalled):
    assert not check(signalled()).found


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ("signals.0.columns=['rise']",),
            r'signals\[1\].columns: unknown column "rise"; expected one of rise_logistic, rise_linear, move_linear',
        ),
        (
            ("signals.1.columns=['rise_linear', 'buy']",),
            "signals: signal column 'buy' is there already, or read before it is made",
        ),
        (("signals.0.names=rise_linear",), r'signals\[1\].names: "rise_linear" is a column already'),
        (("signals.1.names=calm",), r"signals: signal column 'calm' is there already"),
        (("signals.1.combine=sum",), r"signals\[2\].combine: expected"),
        (
            (SIGNALS.replace("smoothen", "smooth"),),
            r'signals\[1\].kind: unknown signal "smooth"; did you mean "smoothen"',
        ),
        (("signals.0.windw=3",), r'signals\[1\].windw: unknown key; did you mean "window"'),
    ],
)
def test_a_signal_that_cannot_be_is_named_before_anything_is_trained(signalled, settings, message):
    with pytest.raises(ConfigError, match=message):
        check_settings(signalled(*settings).config)


# -- itb signals


def test_the_signals_of_the_walk_forward_are_written_once(signalled):
    workspace = signalled()
    first, again = write_signals(workspace), write_signals(workspace)
    (one,), (other,) = first.data["signals"], again.data["signals"]
    assert (one["is_new"], other["is_new"]) == (True, False)
    table = pq.read_table(one["file"])
    assert table.column_names == ["timestamp", "rise_logistic", "rise_linear", "calm", "score", "buy", "sell"]
    assert str(table.schema.field("buy").type) == "bool"
    assert table["buy"].null_count == table["score"].null_count > 0
    changed = write_signals(signalled("signals.2.buy_signal_threshold=0.01"))
    assert changed.data["signals"][0]["is_new"]


def test_the_signals_of_a_file_need_no_bars(signalled, tmp_path):
    scores = tmp_path / "scores.csv"
    rows = [("2024-01-01", 0.5, 0.4), ("2024-01-02", 0.3, 0.5), ("2024-01-03", "", 0.5)]
    lines = ["timestamp,rise_logistic,rise_linear", *(",".join(map(str, row)) for row in rows)]
    scores.write_text("\n".join(lines))
    out = tmp_path / "made.csv"
    write_signals(signalled(), scores, out)
    made = csv.read_csv(out).to_pydict()
    assert made["calm"] == pytest.approx([0.5, 0.4, 0.4])
    assert made["buy"] == [True, False, False]
    assert made["sell"] == [False, True, True]
    again = tmp_path / "again.csv"
    write_signals(signalled(), out, again)
    assert again.read_text() == out.read_text()


def test_without_signals_there_is_nothing_to_write(several):
    with pytest.raises(ConfigError, match="signals: there are none"):
        write_signals(several())
