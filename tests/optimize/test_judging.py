from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from itb.optimize.bootstrap import stationary_weights
from itb.optimize.effective_trials import effective_trials
from itb.optimize.evidence import Evidence
from itb.optimize.judging import judge
from itb.optimize.overfitting import overfitting
from itb.optimize.reality_check import superiority
from itb.optimize.sharpe_statistics import Moments, deflated_sharpe, sharpe, trial_variance
from itb.optimize.verdict import Verdict, decide
from itb.optimize.verdict_text import verdict_lines

DAYS = 900


@pytest.fixture(scope="module")
def noise() -> Evidence:
    rng = np.random.default_rng(3)
    table = rng.normal(0, 0.02, (DAYS, 40))
    return Evidence(table, int(sharpe(table).argmax()), rng.normal(0, 0.02, 600), hold=rng.normal(0, 0.03, DAYS))


@pytest.fixture(scope="module")
def edge(noise: Evidence) -> Evidence:
    table = noise.returns.copy()
    table[:, 5] += 0.004
    return replace(
        noise, returns=table, selected=5, nested=table[300:, 5], raw_trials=60, failed_trials=4, stability=0.8,
        random_entry_p=0.001, permutation_p=0.01, break_even_bps=31.0, charged_bps=15.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trusted(edge: Evidence) -> Verdict:
    return judge(edge)


PASSED = {"deflated": 0.95, "superiority_p": 0.05, "nested_low": 0.01, "overfit": 0.5, "nested_median": 1e-6}


@pytest.mark.parametrize(
    ("change", "word", "because"),
    [
        ({}, "trust", ("deflated Sharpe", "SPA p", "nested Sharpe's lower 90 % bound")),
        ({"deflated": 0.949}, "weak", ("deflated Sharpe 0.949 < 0.95",)),
        ({"superiority_p": 0.051}, "weak", ("SPA p 0.0510 > 0.05",)),
        ({"nested_low": 0.0}, "weak", ("nested Sharpe's lower 90 % bound 0.00 <= 0",)),
        ({"nested_low": math.nan}, "weak", ("nested Sharpe's lower 90 % bound unknown",)),
        ({"overfit": math.nan}, "trust", ("deflated Sharpe", "SPA p", "nested Sharpe's lower 90 % bound")),
        ({"overfit": 0.501}, "overfit", ("probability of overfitting 0.50 > 0.5",)),
        ({"nested_median": 0.0}, "overfit", ("median nested window +0.00% <= 0",)),
        ({"nested_median": -0.01, "deflated": 0.1}, "overfit", ("median nested window -1.00% <= 0",)),
    ],
)
def test_the_rule_is_the_one_in_the_docs(change: dict[str, float], word: str, because: tuple[str, ...]) -> None:
    decided, said = decide(**(PASSED | change))
    assert decided == word
    assert len(said) == len(because)
    assert all(sentence.startswith(start) for sentence, start in zip(said, because, strict=True))


def test_an_edge_is_trusted_and_luck_is_not(noise: Evidence, trusted: Verdict) -> None:
    assert trusted.word == "trust"
    assert judge(noise).word != "trust"


def test_every_number_is_that_of_its_statistic(edge: Evidence, trusted: Verdict) -> None:
    claim = edge.returns[:, 5]
    record = Moments.of(claim)
    worth = effective_trials(edge.returns)
    effective = worth.number * 60 / 40
    weights = stationary_weights(DAYS, trusted.block_days, 2_000, 0)
    assert trusted.sharpe == pytest.approx(claim.mean() / claim.std(ddof=1) * math.sqrt(365))
    assert trusted.trials_effective == pytest.approx(effective)
    assert trusted.deflated_sharpe == deflated_sharpe(record, effective, trial_variance(worth.sharpes, DAYS))
    assert trusted.overfitting == overfitting(edge.returns, 16).probability
    assert trusted.spa_cash == superiority(edge.returns, weights, block=trusted.block_days).consistent
    assert trusted.spa_hold == superiority(edge.excess_of_hold(), weights, block=trusted.block_days).consistent
    assert trusted.total_return == pytest.approx(np.prod(1 + claim) - 1)
    assert trusted.nested_windows == 20
    assert trusted.kept == pytest.approx(trusted.nested_sharpe / trusted.sharpe)
    assert (trusted.trials_raw, trusted.trials_failed, trusted.trials_measured) == (60, 4, 40)


def test_a_verdict_goes_through_json_and_back(noise: Evidence, trusted: Verdict) -> None:
    for verdict in (trusted, judge(replace(noise, hold=None), resamples=200)):
        text = json.dumps(verdict.to_dict(), allow_nan=False)
        again = Verdict.from_dict(json.loads(text))
        assert again.to_dict() == verdict.to_dict()
        assert (again.word, again.because, again.line) == (verdict.word, verdict.because, verdict.line)


def test_a_stored_verdict_with_another_shape_is_refused(trusted: Verdict) -> None:
    stored = trusted.to_dict()
    with pytest.raises(ValueError, match="differs in colour"):
        Verdict.from_dict(stored | {"colour": "red"})
    with pytest.raises(ValueError, match="was 'sure'"):
        Verdict.from_dict(stored | {"word": "sure"})
    with pytest.raises(TypeError, match="list of sentences"):
        Verdict.from_dict(stored | {"because": "luck"})


def test_the_same_evidence_gives_the_same_verdict(edge: Evidence, trusted: Verdict) -> None:
    assert judge(edge) == trusted


def test_a_rising_market_is_no_skill(rng: np.random.Generator) -> None:
    hold = rng.normal(0.008, 0.03, DAYS)  # a Sharpe ratio of 5 by holding
    exposure = rng.random((DAYS, 30)) < rng.uniform(0.3, 1, 30)
    table = hold[:, None] * exposure - np.linspace(0, 0.003, 30)  # the first are better in every half
    best = int(sharpe(table).argmax())
    evidence = Evidence(table, best, table[200:, best], hold=hold)
    verdict = judge(evidence)
    assert verdict.spa_cash <= 0.05 < verdict.spa_hold
    assert verdict.word == "weak"
    assert judge(replace(evidence, hold=None)).word == "trust"


def test_more_trials_in_the_register_make_the_same_result_worth_less(edge: Evidence, trusted: Verdict) -> None:
    verdict = judge(replace(edge, raw_trials=6_000))
    assert verdict.deflated_sharpe < trusted.deflated_sharpe
    assert verdict.backtest_years_at_1 > trusted.backtest_years_at_1


def test_one_trial_and_short_data_still_have_a_verdict(rng: np.random.Generator) -> None:
    verdict = judge(Evidence(rng.normal(0.01, 0.01, (12, 1)), 0, np.empty(0)), resamples=200)
    assert math.isnan(verdict.overfitting)
    assert math.isnan(verdict.nested_sharpe)
    assert verdict.because == ("nested Sharpe's lower 90 % bound unknown",)


def test_a_search_that_never_traded_is_not_trusted() -> None:
    verdict = judge(Evidence(np.zeros((300, 8)), 0, np.zeros(100)), resamples=100)
    assert verdict.word == "overfit"
    assert (verdict.spa_cash, verdict.trials_effective) == (1.0, 1.0)


def test_the_terminal_reads_about_twelve_lines_and_the_word_last(trusted: Verdict) -> None:
    lines = verdict_lines(trusted)
    assert len(lines) == 13
    assert lines[-1] == f"verdict           {trusted.line}"
    assert "you have 2.5 years; 60 trials need 5.5 at Sharpe 1" in lines[7]
    assert max(map(len, lines)) <= 140


def test_what_is_not_known_is_not_said(noise: Evidence) -> None:
    lines = verdict_lines(judge(replace(noise, nested=np.empty(0), hold=None), resamples=100))
    assert not [line for line in lines if line.startswith(("nested", "chance", "break-even", "kept")) or "nan" in line]
    assert "buy-and-hold" not in "\n".join(lines)
