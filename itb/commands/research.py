"""The steps of research, one at a time: features, labels, one model, the walk-forward, the laws."""

from itb.commands.options import IncludeHoldout, Options, Out, Strategy, command, progress_bar
from itb.commands.root import app


@command(app)
def features(options: Options, out: Out = None, include_holdout: IncludeHoldout = False) -> None:
    """Compute the configured features and write them."""
    from itb.runs.steps import write_features as run

    with progress_bar(options) as progress:
        said = run(options.market(include_holdout=include_holdout, progress=progress), out)
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
    from itb.runs.steps import train as run

    with progress_bar(options) as progress:
        said = run(options.market(progress=progress), out)
    options.show(said)


@command(app)
def walkforward(options: Options, out: Out = None, include_holdout: IncludeHoldout = False) -> None:
    """Train again and again, score what came next, and say how good the scores were."""
    from itb.runs.steps import walk_forward as run

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
