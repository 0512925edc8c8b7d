"""`itb backtest`."""

from pathlib import Path
from typing import Annotated

import typer

from itb.commands.options import Flag, IncludeHoldout, Options, Strategy, command, progress_bar
from itb.commands.root import app


@command(app)
def backtest(
    options: Options,
    strategy: Strategy = None,
    fee_bps: Annotated[float | None, Flag("--fee-bps", help="Fee of one side, basis points.")] = None,
    slippage_bps: Annotated[float | None, Flag("--slippage-bps", help="Slippage of one side, basis points.")] = None,
    include_holdout: IncludeHoldout = False,
    out: Annotated[Path | None, Flag("--out", help="Folder of the runs, instead of runs/.")] = None,
) -> None:
    """Train walk-forward, trade the scores, write a report; without a config on the built-in market."""
    from itb.runs.backtest import backtest as run

    shown = {"--strategy": strategy, "--fee-bps": fee_bps, "--slippage-bps": slippage_bps}
    with progress_bar(options) as progress:
        found = run(options.market(include_holdout=include_holdout, progress=progress, **shown), out)
    if options.json:
        import json

        typer.echo(json.dumps([{**r.capsule.manifest, "report": str(r.capsule.report)} for r in found], indent=1))
        return
    from rich.console import Console

    from itb.charts.terminal import terminal_summary

    console = Console()
    for done in found:
        console.print(terminal_summary(done.report, done.capsule.report))
