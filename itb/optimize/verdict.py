"""The verdict: what the result of a search is worth after all that was tried, in numbers and in one word.

The rule is fixed in ``docs/concepts/verdict.md``; change it there first, with a reason, and never after looking at the
honesty benchmark.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, get_args

from itb.optimize.sharpe_statistics import DAYS_A_YEAR

if TYPE_CHECKING:
    from collections.abc import Mapping

Word = Literal["trust", "weak", "overfit"]

DEFLATED_SHARPE = 0.95
SUPERIORITY_P = 0.05
NESTED_CONFIDENCE = 0.9
OVERFITTING = 0.5


@dataclass(frozen=True)
class Verdict:
    """All numbers about a search's result, and the word they come to. Sharpe ratios are annual; NaN is "not known".

    ``spa_hold`` compares with buy-and-hold of each trial's own exposure, ``spa_hold_outright`` with holding one coin's
    worth all the time; ``superior_*`` count the trials that beat the benchmark all together (StepM).
    ``minimum_track_days`` is how long a record like this must be to show a Sharpe ratio above 0 at 95 %, and
    ``backtest_years_*`` how long a backtest must be for so many trials to mean anything, at a Sharpe ratio of 1 and at
    the claimed one. ``kept`` is the nested Sharpe ratio as a share of the claimed one. ``label_permutations`` models
    were trained on permuted labels.
    """

    word: Word
    because: tuple[str, ...]
    days: int
    trials_raw: int
    trials_failed: int
    trials_measured: int
    trials_effective: float
    sharpe: float
    total_return: float
    probabilistic_sharpe: float
    deflated_sharpe: float
    luck_sharpe: float
    spa_cash: float
    spa_cash_lower: float
    spa_cash_upper: float
    white_cash: float
    superior_cash: int
    spa_hold: float
    spa_hold_outright: float
    superior_hold: int
    overfitting: float
    overfitting_loss: float
    overfitting_slope: float
    minimum_track_days: float
    backtest_years_at_1: float
    backtest_years_at_claim: float
    nested_days: int
    nested_sharpe: float
    nested_sharpe_low: float
    nested_total_return: float
    nested_total_return_low: float
    nested_windows: int
    nested_median: float
    kept: float
    sharpe_low: float
    sharpe_high: float
    stability: float
    random_entry_p: float
    permutation_p: float
    label_permutation_p: float
    label_permutations: int
    break_even_bps: float
    charged_bps: float
    block_days: float
    resamples: int
    seed: int

    @property
    def years(self) -> float:
        """Length of the search's days in years."""
        return self.days / DAYS_A_YEAR

    @property
    def line(self) -> str:
        """The word and the numbers that decided, in one line."""
        return f"{self.word}: {', '.join(self.because)}"

    def to_dict(self) -> dict[str, object]:
        """Give everything as JSON takes it; what is not known is ``None``."""
        values = {figure.name: getattr(self, figure.name) for figure in fields(self)}
        plain = {
            name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()
        }
        return plain | {"because": list(self.because)}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Verdict:
        """Read what :meth:`to_dict` gave; raise ``ValueError`` that names a key too many or too few."""
        names = [figure.name for figure in fields(cls)]
        if wrong := sorted(set(names) ^ set(values)):
            raise ValueError(f"a verdict has the keys {', '.join(names)}; differs in {', '.join(wrong)}")
        if values["word"] not in get_args(Word):
            raise ValueError(f"word must be one of {', '.join(get_args(Word))}, was {values['word']!r}")
        because = values["because"]
        if not isinstance(because, list | tuple):
            raise TypeError(f"because must be a list of sentences, was {because!r}")
        read = {name: math.nan if values[name] is None else values[name] for name in names}
        return cls(**{**read, "because": tuple(because)})  # type: ignore[arg-type]  # JSON knows no field's type


def decide(
    *, deflated: float, superiority_p: float, nested_low: float, overfit: float, nested_median: float
) -> tuple[Word, tuple[str, ...]]:
    """Apply the rule: first ``overfit``, then ``trust``, else ``weak``. NaN fulfils no condition.

    ``superiority_p`` is the larger of the p-values against cash and buy-and-hold, ``nested_low`` the lower 90 % bound
    of the nested Sharpe ratio, ``nested_median`` the median return of the nested windows.

    >>> decide(deflated=0.97, superiority_p=0.01, nested_low=0.4, overfit=0.1, nested_median=0.02)[0]
    'trust'
    >>> decide(deflated=0.97, superiority_p=0.01, nested_low=0.4, overfit=0.6, nested_median=0.02)
    ('overfit', ('probability of overfitting 0.60 > 0.5',))
    """
    bad = []
    if overfit > OVERFITTING:
        bad.append(f"probability of overfitting {overfit:.2f} > {OVERFITTING}")
    if nested_median <= 0:
        bad.append(f"median nested window {nested_median:+.2%} <= 0")
    if bad:
        return "overfit", tuple(bad)
    tests = (
        (deflated >= DEFLATED_SHARPE, "deflated Sharpe", deflated, ">=", "<", DEFLATED_SHARPE, 3),
        (superiority_p <= SUPERIORITY_P, "SPA p", superiority_p, "<=", ">", SUPERIORITY_P, 4),
        (nested_low > 0, "nested Sharpe's lower 90 % bound", nested_low, ">", "<=", 0, 2),
    )
    passed = all(test[0] for test in tests)
    said = [
        f"{name} unknown" if math.isnan(value) else f"{name} {value:.{digits}f} {yes if good else no} {limit}"
        for good, name, value, yes, no, limit, digits in tests
        if good == passed
    ]
    return ("trust" if passed else "weak"), tuple(said)
