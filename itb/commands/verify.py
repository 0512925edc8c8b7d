"""`itb verify`."""

from itb.commands.options import IncludeHoldout, Options, command, progress_bar
from itb.commands.root import app


@command(app)
def verify(options: Options, include_holdout: IncludeHoldout = False) -> None:
    """Run the configured strategy in the sweep and in backtrader and compare them; exit code 1 when they differ."""
    from itb.runs.verify import verify as run

    with progress_bar(options) as progress:
        said = run(options.market(include_holdout=include_holdout, progress=progress))
    options.show(said)
