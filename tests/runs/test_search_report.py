"""The pages of a search and of a walk-forward optimisation, on a small built-in market."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from itb.errors import RunError
from itb.optimize.desk import Record
from itb.optimize.parity import Confirmation
from itb.optimize.screened import Refusal
from itb.runs.optimize import Asked, optimize, search_account, walk_forward
from itb.runs.search_report import describe, drawn, worded
from itb.runs.search_words import confirmation_told, engines, facts, failures, verdict_words
from tests.runs.searched import workspace


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return search_account(workspace(folder, "search.objectives=['sharpe', 'ulcer']"), "BTC/USDT", Asked(trials=16))


@pytest.fixture(scope="module")
def page(done):
    return (done.study.folder / "report.html").read_text()


def test_page_says_the_verdict_and_every_number_that_decided(done, page):
    verdict = done.judged.verdict
    assert f'<p class="word">{verdict.word}</p>' in page
    assert f"{verdict.deflated_sharpe:.3f}" in page
    assert f"{verdict.overfitting:.2f}" in page
    assert f"Study {done.study.name}" in page


def test_page_is_whole_in_itself_and_small(done, page):
    own = re.sub(r"<script>/\*\*?.*?</script>", "", page, flags=re.DOTALL)
    own = own if len(own) < len(page) else page.partition('id="figures">')[0]
    assert not re.findall(r"(?:src|href)=\"(?!#)[^\"]+\"", own)
    assert "default-src 'none'" in page
    assert (done.study.folder / "report.html").stat().st_size < 8_000_000


def test_all_figures_are_in_the_page(done, page):
    drawn = [one["id"] for one in json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL).group(1))]
    assert drawn == [
        "worth", "history", "halves", "logits", "window-map", "importance", "plateau", "slice-0", "slice-1", "slice-2",
        "front-1", "drift",
    ]  # fmt: skip


def test_lines_end_where_the_returns_do(done):
    nested, best, hold = describe(done).lines
    verdict = done.judged.verdict
    assert nested.worth[-1] - 1 == pytest.approx(verdict.nested_total_return)
    assert best.worth[-1] - 1 == pytest.approx(verdict.total_return)
    assert hold.worth[-1] == pytest.approx(np.prod(1 + done.judged.hold))
    assert len(hold.day) == verdict.days + 1
    assert nested.day[-1] == best.day[-1] == hold.day[-1]


def test_window_returns_compound_to_the_total(done):
    found = describe(done).windows
    totals = np.prod(1 + found.returns, axis=1) - 1
    by_slot = dict(zip(found.number.tolist(), totals.tolist(), strict=True))
    for record in done.judged.measured:
        assert by_slot[record.slot] == pytest.approx(np.prod(1 + record.performance.daily) - 1)
    assert found.number[0] == done.judged.best.slot
    traded = found.nested[np.isfinite(found.nested)]
    assert np.prod(1 + traded) - 1 == pytest.approx(done.judged.verdict.nested_total_return)


def test_halves_are_sharpe_ratios_of_the_halves(done):
    halves = describe(done).halves
    returns = done.judged.returns
    first = returns[: len(returns) // 2, halves.best]
    assert halves.inside[halves.best] == pytest.approx(first.mean() / first.std(ddof=1) * math.sqrt(365))


def test_logits_are_those_of_the_verdict(done):
    assert np.mean(describe(done).logits <= 0) == done.judged.verdict.overfitting


def test_crowd_lies_between_worst_and_best(done):
    crowd = describe(done).crowd
    final = np.prod(1 + done.judged.returns, axis=0)
    assert crowd.lines[[0, -1], -1] == pytest.approx([final.min(), final.max()])
    assert crowd.shares[-1] == pytest.approx(np.quantile(final, crowd.quantiles))


def test_best_trials_are_listed_best_first(done):
    table = describe(done).best
    assert table.rows[0][0] == str(done.judged.best.slot)
    assert table.columns[:3] == ("Trial", "sharpe", "ulcer")
    values = [float(row[1].replace("−", "-")) for row in table.rows]
    assert values == sorted(values, reverse=True)


def test_unverified_study_says_the_first_difference(done):
    parted = replace(done.judged.confirmations[0], difference="bar 7: one bought, the other did not")
    wrong = replace(done, judged=replace(done.judged, confirmations=(parted,)))
    words = verdict_words(wrong).remarks
    assert any(note.tone == "bad" and "bar 7: one bought" in note.text for note in words)
    assert not any("same in backtrader" in note.text for note in words)


def test_what_backtrader_alone_computed_is_no_confirmation(done):
    swept = done.judged.confirmations
    assert [check.is_compared for check in swept] == [True] * 3
    assert confirmation_told(swept) == "3 of the best 3 are the same in backtrader, to 1e-9"
    left = replace(swept[0].confirmed, refused=Refusal("protections", "stop_loss_guard looks at trades"))
    alone = Confirmation(left, left)
    assert confirmation_told([*swept, alone]) == (
        "of the best 4, 3 of 3 that were swept are the same in backtrader, to 1e-9; 1 were computed there alone"
    )
    assert confirmation_told([alone, alone]) == (
        "the best 2 were computed in backtrader alone (protections): there is nothing to compare"
    )
    unproven = replace(done, judged=replace(done.judged, confirmations=(alone, alone)))
    (note,) = [note for note in verdict_words(unproven).remarks if note.text.startswith("Confirmation")]
    assert note.tone == "plain"


def test_facts_are_good_exactly_where_the_rule_is_kept(done):
    verdict = replace(
        done.judged.verdict,
        deflated_sharpe=0.96, spa_cash=0.01, spa_hold=0.2, nested_sharpe_low=0.1, overfitting=math.nan,
        nested_median=-0.01,
    )  # fmt: skip
    assert [fact.tone for fact in facts(verdict)] == ["good", "bad", "good", "plain", "bad"]


def test_engines_and_failures_are_counted(done):
    some = done.records[0]
    left = replace(some.performance, engine="backtrader", refused="both barriers: bar 7")
    rows = engines([some, replace(some, performance=left)]).rows
    assert ("left to backtrader: both barriers", "1", "50.0 %") in rows
    lost = Record(9, 0, {}, "failed", None, reason="no rows")
    broken = replace(some, excess={"min_trades": 2.0})
    assert failures([lost, lost, broken, some]).rows == (("failed: no rows", "2"), ("breaks search.min_trades", "1"))


def test_terminal_shows_the_verdict_and_the_best_settings(done):
    console = Console(width=110, record=True)
    with console.capture() as capture:
        console.print(drawn(done)())
    text = capture.get()
    assert f" {done.judged.verdict.word.upper()} " in text
    assert f"itb optimize apply {done.study.name}" in text
    for name in done.judged.best.parameters:
        assert f"{name} = " in text


def test_opened_holdout_stands_in_the_page_and_in_the_verdict_file(tmp_path):
    sealed = workspace(tmp_path, "data.holdout_from=2023-04-15")
    told = optimize(sealed, Asked(trials=8), open_holdout=True).data["studies"][0]
    folder = tmp_path / "runs" / "studies" / told["study"]
    text = (folder / "report.html").read_text()
    assert "In the hold-out" in text
    assert "hold-out seen" in text
    assert "is seen by this run, the first" in text
    assert "no run has looked at it" not in text
    assert json.loads((folder / "verdict.json").read_text())["holdout"] == told["holdout"]


def test_walk_forward_writes_its_own_page(tmp_path):
    told = walk_forward(workspace(tmp_path), Asked(trials=8)).data["walk_forward"][0]
    text = (tmp_path / "runs" / "studies" / told["study"] / "walk_forward.html").read_text()
    assert "walk-forward optimisation" in text
    assert re.findall(r'class="plot" id="([\w-]+)"', text) == ["worth", "drift"]
    chosen = [window for window in told["drift"] if len(window) > 1]
    assert chosen
    for window in chosen:
        assert f"{window['strategy.buy_threshold']:.4g}" in text


def test_password_of_a_storage_is_not_in_the_page(tmp_path):
    url = f"sqlite:///{tmp_path / 'secret-word.db'}"
    told = optimize(workspace(tmp_path), Asked(trials=8, storage=url)).data["studies"][0]
    text = (tmp_path / "runs" / "studies" / told["study"] / "report.html").read_text()
    assert "secret-word" not in text
    assert "&quot;storage&quot;: &quot;sqlite&quot;" in text


def test_values_are_worded_short():
    assert worded(0.123456) == "0.1235"
    assert worded('json:["a"]') == '["a"]'
    assert len(worded("x" * 200)) == 60


def test_search_that_nobody_survives_leaves_no_page(tmp_path):
    with pytest.raises(RunError, match=r"none of 4 trials keeps search.min_trades"):
        optimize(workspace(tmp_path, "search.min_trades=5000"), Asked(trials=4))
    assert not list(tmp_path.rglob("report.html"))
