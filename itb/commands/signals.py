"""`itb signals`, `itb simulate` and `itb shadows`: from scores to flags, and what these would have earned."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from itb.commands.options import Flag, IncludeHoldout, Options, command, progress_bar
from itb.commands.root import app

Scores = Annotated[
    Path | None, Flag("--scores", help="CSV or Parquet file of scores with a timestamp, instead of the walk-forward's.")
]


@command(app)
def signals(
    options: Options,
    scores: Scores = None,
    out: Annotated[Path | None, Flag("--out", help="Where the file goes: .parquet, .csv, or a folder.")] = None,
    include_holdout: IncludeHoldout = False,
) -> None:
    """Compute the configured signals of the scores and write them."""
    from itb.runs.signal_files import write_signals as run

    with progress_bar(options) as progress:
        load = options.market if scores is None else options.workspace
        said = run(load(include_holdout=include_holdout, progress=progress), scores, out)
    options.show(said)


@command(app)
def simulate(
    options: Options,
    scores: Scores = None,
    legacy_metric: Annotated[
        bool, Flag("--legacy-metric", help="Also show intelligent-trading-bot's number, which is no profit.")
    ] = False,
    out: Annotated[Path | None, Flag("--out", help="Where all trials go: .parquet, .csv, or a folder.")] = None,
    include_holdout: IncludeHoldout = False,
) -> None:
    """Try every combination of the grid on the signals' threshold rule, after costs; each is a look.

    A file of --bars needs a timestamp and a close, an open for fills at the next one, and may hold the scores too.
    """
    from itb.runs.simulate import simulate as run

    with progress_bar(options) as progress:
        own = replace(options, bars=None)  # closes and scores need no volume, which bars do
        load = own.market if options.bars is None else own.workspace
        workspace = load(include_holdout=include_holdout, progress=progress)
        said = run(workspace, bars=options.bars, scores=scores, out=out, legacy_metric=legacy_metric)
    options.show(said)


@command(app)
def shadows(
    options: Options,
    out: Annotated[Path | None, Flag("--out", help="Folder of the event logs.")] = None,
    include_holdout: IncludeHoldout = False,
) -> None:
    """Let several trigger rules trade the scores on paper, side by side, each symbol by its own thresholds."""
    from itb.runs.shadows import shadows as run

    with progress_bar(options) as progress:
        said = run(options.market(include_holdout=include_holdout, progress=progress), out)
    options.show(said)
