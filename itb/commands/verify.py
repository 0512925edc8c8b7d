"""`itb verify`."""

from typing import Annotated

from itb.commands.options import Flag, IncludeHoldout, Options, command, progress_bar
from itb.commands.root import app
from itb.errors import ConfigError


@command(app)
def verify(
    options: Options,
    include_holdout: IncludeHoldout = False,
    live: Annotated[
        bool, Flag("--live", help="Compare backtest, paper and practice exchange, and the scores of each bar.")
    ] = False,
    days: Annotated[float, Flag("--days", help="With --live: how many days; 0: the last 1,000 bars.")] = 0.0,
) -> None:
    """Run the configured strategy in the sweep and in backtrader and compare them; exit code 1 when they differ."""
    if days < 0 or (days and not live):
        raise ConfigError(f"--days must be above 0 and belongs to --live, was {days:g}")
    with progress_bar(options) as progress:
        workspace = options.market(include_holdout=include_holdout, progress=progress)
        if live:
            from itb.runs.verify_live import verify_live

            said = verify_live(workspace, days)
        else:
            from itb.runs.verify import verify as run

            said = run(workspace)
    options.show(said)
