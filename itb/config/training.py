"""The section of a config file that says how models are taught."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from itb.config.sections import Section
from itb.config.values import Count


class TrainingSection(Section):
    """How a model is taught, decided in every refit from the rows that it learns from: in a backtest as live."""

    weights: tuple[Literal["uniqueness", "time_decay", "class_balance"], ...] = Field(
        default=(),
        examples=[["uniqueness", "time_decay"]],
        description="How much each row counts, multiplied: by its label's uniqueness, by its age, by its class.",
    )
    oldest_weight: float = Field(
        default=0.5,
        gt=-1,
        le=1,
        allow_inf_nan=False,
        description="What time_decay leaves of the oldest row: 1 everything, 0 nothing, -0.25 nothing of the oldest "
        "quarter.",
    )
    class_balance: Literal["none", "weights", "rows"] = Field(
        default="none",
        description="Let every class count the same: by weights, or by drawing its rows as often as the others'.",
    )
    sequential_bootstrap: bool = Field(
        default=False,
        description="Draw rows one after the other, each less likely the more its label overlaps with those drawn; "
        "twice the rows take four times as long.",
    )
    pooled: bool = Field(
        default=False,
        description="Train one model on the rows of all `data.symbols` and let it score each; else each coin has a "
        "model of its own.",
    )
    coin_scaling: Literal["none", "standard", "robust"] = Field(
        default="none",
        description="In a pooled training, scale each coin's features by its own training rows: mean and deviation, or "
        "median and the range between the 5 % and 95 % quantiles.",
    )
    train_rows_max: Count = Field(default=0, description="Learn from so many of the newest rows at most; 0: from all.")
    early_stopping: Literal["none", "loss", "rank", "trading"] = Field(
        default="none",
        description="Stop adding trees or passes (lightgbm, mlp) when the newest training rows no longer gain: by log "
        "loss or squared error, by AUC or rank correlation, or by what trading them earns after costs.",
    )
    stopping_tail: float = Field(
        default=0.2, gt=0, lt=1, description="Which share of the rows, the newest, early stopping judges by."
    )
    stopping_patience: int = Field(
        default=20, ge=1, description="So many steps without a gain stop the training; FollowUpward waits for 10."
    )
    stopping_refit: bool = Field(
        default=True,
        description="Fit anew on all rows with the number of steps that was found; else the model never learns the "
        "newest rows.",
    )
    reuse_bins: bool = Field(
        default=False,
        description="Let LightGBM sort features into the bins of the first training window in every refit: faster "
        "where trees are few, and refused when a feature leaves the range it had there.",
    )

    @model_validator(mode="after")
    def _refuse_what_pools_differ_in(self) -> Self:
        if self.coin_scaling != "none" and not self.pooled:
            raise ValueError(
                f'coin_scaling must be "none" where pooled is not set, was "{self.coin_scaling}": a model of one coin '
                "scales by model.scaling"
            )
        if self.pooled and self.early_stopping == "trading":
            raise ValueError(
                'early_stopping must be "none", "loss" or "rank" where pooled is set, was "trading": the rows of '
                "several coins are no one price to trade"
            )
        return self
