"""The command line: gathers the commands, and words what goes wrong."""

import sys

import typer

from itb.commands import (
    backtest,
    config,
    data,
    history,
    import_config,
    live,
    live_control,
    notify,
    optimize,
    practice,
    project,
    report,
    research,
    signals,
    telegram,
    verify,
)
from itb.commands.root import app
from itb.errors import ItbError

__all__ = ["app", "main"]

COMMANDS = (
    project,
    research,
    signals,
    backtest,
    verify,
    report,
    practice,
    live_control,
    import_config,
)  # importing them has entered them into the app
app.add_typer(data.app, name="data")
app.add_typer(optimize.app, name="optimize")
app.add_typer(history.app, name="runs")
app.add_typer(config.app, name="config")
app.add_typer(notify.app, name="notify")
app.add_typer(telegram.app, name="telegram")
app.add_typer(live.app, name="live")


def main() -> None:
    """Run the command line.

    Exit codes: 0 is well, 1 a finding, 2 a mistake in what was asked, 130 interrupted, 70 a fault of itb itself.
    """
    wants_trace = "--debug" in sys.argv
    try:
        app()
    except ItbError as error:
        if wants_trace:
            raise
        _say(str(error))
        sys.exit(2)
    except OSError as error:
        if wants_trace:
            raise
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        _say(f"{what}; look at the path, who may write there, and the room on the disk")
        sys.exit(2)
    except Exception as error:
        if wants_trace:
            raise
        _say(f"unexpected {type(error).__name__}: {error}; run again with --debug for the trace")
        sys.exit(70)


def _say(what: str) -> None:
    """Tell what went wrong; what an exchange or a driver said may quote a key."""
    from itb.live.run.redaction import shown

    typer.echo(f"itb: {shown(what)}", err=True)
