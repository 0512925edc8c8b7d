"""The section of a config file that says how history is cut for `itb evaluate`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from itb.config.sections import Section
from itb.config.values import Count


class EvaluationSection(Section):
    """How `itb evaluate` cuts history; only the scores of a file whose tests come last can be traded."""

    split: Literal["kfold", "cpcv", "file"] = Field(
        default="kfold",
        description='Purged k-fold ("kfold"), combinatorial purged cross-validation ("cpcv"), or ranges in a "file".',
    )
    folds: int = Field(default=5, ge=2, description="Into how many parts kfold and cpcv cut history.")
    test_folds: int = Field(default=2, ge=1, description="How many parts cpcv scores at once, in every combination.")
    embargo_bars: Count = Field(
        default=0, description="Bars left out after what is scored, on top of those that its labels look at."
    )
    embargo_before_bars: Count = Field(
        default=0, description="Bars left out before what is scored, on top of the label's own reach (kfold and cpcv)."
    )
    file: str | None = Field(
        default=None,
        examples=["sets_split.csv"],
        description="Tab-separated file with set_type, start and end: it learns from training and scores test.",
    )
