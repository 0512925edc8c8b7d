"""Which settings moved the objective: functional analysis of variance on the finished trials."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.optimize.desk import Record
    from itb.optimize.space import Space

MOST_TRIALS = 400
LEAST_TRIALS = 10
_TREES = 16  # costs 2 s at 400 trials of 8 settings; 64 trees give the same shares to a few hundredths


def importances(space: Space, records: Sequence[Record], *, sign: float = 1.0, seed: int = 0) -> dict[str, float] | str:
    """Give each setting's share of what moved the first objective, largest first, or the sentence why it is not known.

    fANOVA (Hutter, Hoos, Leyton-Brown 2014) by Optuna, on complete trials, 400 of them at even steps. The lowest fifth
    is raised to its upper edge: a few ruinous trials would else be all that is explained. Settings that exist in some
    trials only take no part. ``sign`` is 1 where more of the objective is better, else -1.
    """
    import optuna

    known = [r for r in records if r.state == "complete" and r.values is not None]
    if len(known) < LEAST_TRIALS:
        return f"Importances need at least {LEAST_TRIALS} trials with a result, there are {len(known)}."
    known = [known[i] for i in np.unique(np.linspace(0, len(known) - 1, MOST_TRIALS).astype(np.int64)).tolist()]
    values = np.array([sign * r.values[0] for r in known if r.values is not None])
    shared = [d for d in space.dimensions if all(d.name in r.parameters for r in known)]
    varied = [d for d in shared if len({r.parameters[d.name] for r in known}) > 1]
    if not varied:
        return "Importances need a setting that exists in every trial and varies; there is none."
    if np.ptp(np.maximum(values, np.quantile(values, 0.2))) == 0:
        return "Importances need an objective that varies; it is the same in every trial."
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    raised = np.maximum(values, np.quantile(values, 0.2))
    for record, value in zip(known, raised.tolist(), strict=True):
        study.add_trial(
            optuna.trial.create_trial(
                params={d.name: record.parameters[d.name] for d in varied},
                distributions={d.name: d.distribution for d in varied},
                value=value,
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=seed)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}
