"""The steps of research, one at a time: features, labels, one model, the walk-forward, the laws."""

from pathlib import Path
from typing import Annotated

import typer

from itb.commands.options import Flag, IncludeHoldout, Options, Out, Strategy, command, progress_bar
from itb.commands.root import app

Chunk = Annotated[int | None, Flag("--chunk", metavar="ROWS", help="Rows at a time: less memory, same numbers.")]


@command(app)
def features(
    options: Options,
    out: Out = None,
    chunk: Annotated[
        int | None, Flag("--chunk", metavar="ROWS", help="Rows at a time: less memory, same numbers.")
    ] = None,
    include_holdout: IncludeHoldout = False,
) -> None:
    """Compute the configured features and write them."""
    from itb.runs.steps import write_features as run

    with progress_bar(options) as progress:
        said = run(options.market(include_holdout=include_holdout, progress=progress), out, chunk=chunk)
    options.show(said)


@command(app)
def labels(options: Options, out: Out = None, include_holdout: IncludeHoldout = False) -> None:
    """Compute the configured label and write it, each row with the time it became known."""
    from itb.runs.steps import write_labels as run

    with progress_bar(options) as progress:
        said = run(options.market(include_holdout=include_holdout, progress=progress), out)
    options.show(said)


@command(app)
def train(options: Options, out: Out = None) -> None:
    """Train one model on the last training window and write its files."""
    from itb.runs.train import train as run

    with progress_bar(options) as progress:
        said = run(options.market(progress=progress), out)
    options.show(said)


@command(app)
def predict(
    options: Options,
    models: Annotated[
        list[Path] | None, typer.Argument(help="Model files, timelines or their folders; else the last `itb train`.")
    ] = None,
    out: Out = None,
    in_sample: Annotated[
        bool, Flag("--in-sample", help="Also score bars that the model learned from; no backtest takes the file.")
    ] = False,
    metrics: Annotated[bool, Flag("--metrics", help="Grade the scores, and write the grades beside them.")] = False,
    include_holdout: IncludeHoldout = False,
) -> None:
    """Score bars by stored models, and write the scores and which model gave each."""
    from itb.runs.predict import Asked
    from itb.runs.predict import predict as run

    with progress_bar(options) as progress:
        place = options.market(include_holdout=include_holdout, progress=progress)
        said = run(place, models or [], Asked(out, in_sample=in_sample, metrics=metrics))
    options.show(said)


@command(app)
def walkforward(options: Options, out: Out = None, include_holdout: IncludeHoldout = False) -> None:
    """Train again and again, score what came next, and say how good the scores were."""
    from itb.runs.steps import walk_forward as run

    with progress_bar(options) as progress:
        said = run(options.market(include_holdout=include_holdout, progress=progress), out)
    options.show(said)


@command(app)
def evaluate(
    options: Options,
    split: Annotated[
        str | None, Flag("--split", metavar="NAME", help="How history is cut: kfold, cpcv, or file (evaluation.file).")
    ] = None,
    out: Out = None,
    include_holdout: IncludeHoldout = False,
) -> None:
    """Cross-validate: score every part of history by models of the others, purged; not for backtests."""
    from itb.runs.evaluate import evaluate as run

    with progress_bar(options) as progress:
        said = run(options.market(include_holdout=include_holdout, progress=progress, **{"--split": split}), out)
    options.show(said)


@command(app)
def explore(
    options: Options,
    out: Annotated[
        Path | None, Flag("--out", metavar="FILE", help="Page to write (.html), or a folder for several symbols.")
    ] = None,
    include_holdout: IncludeHoldout = False,
) -> None:
    """Write a page that shows coverage, features, labels, scores and what they hang on; a look that is counted."""
    from itb.runs.explore import explore as run

    with progress_bar(options) as progress:
        said = run(options.market(include_holdout=include_holdout, progress=progress), out)
    options.show(said)


@command(app)
def check(options: Options, strategy: Strategy = None) -> None:
    """Prove the laws on the configured features, label, model and strategy; exit code 1 when one is broken."""
    from itb.runs.laws import check as run

    with progress_bar(options) as progress:
        said = run(options.market(progress=progress, **{"--strategy": strategy}))
    options.show(said)
