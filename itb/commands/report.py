"""`itb report`: a finished run's report, or what a bot did beside the backtest of its bars."""

from dataclasses import replace
from typing import Annotated

import typer

from itb.commands.options import Flag, Options, command
from itb.commands.root import app
from itb.errors import ConfigError


@command(app)
def report(
    options: Options,
    run_id: Annotated[str, typer.Argument(help="The run, the beginning of its name, or last.")] = "last",
    live: Annotated[
        bool, Flag("--live", help="Compare what the bot did with the backtest of the same bars, and write a page.")
    ] = False,
    bot: Annotated[
        str, Flag("--bot", metavar="FOLDER", help="With --live: its folder in runs/live; empty: the newest.")
    ] = "",
) -> None:
    """Show a finished run and where its report is; --live: what a bot did, beside the backtest of its bars."""
    if bot and not live:
        raise ConfigError("--bot belongs to --live; add it, or leave --bot out")
    if not live:
        from itb.runs.history import show_run

        options.show(show_run(options.workspace(), run_id))
        return
    from itb.commands.live import REHEARSAL
    from itb.runs.report_live import find_bot, report_live

    workspace = options.market()
    is_rehearsal = find_bot(workspace, bot).name.endswith("-practice")
    if is_rehearsal and workspace.config.source is None and options.timeframe is None:
        workspace = replace(options, settings=[*REHEARSAL, *(options.settings or ())]).workspace()
    options.show(report_live(workspace, bot))
