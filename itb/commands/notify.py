"""`itb notify`: what people are told."""

from typing import Annotated

import typer

from itb.commands.options import Flag, Options, Out, command, group, progress_bar

app = group("What people are told: look at it, try it.")


@command(app, "preview")
def notify_preview(
    options: Options,
    run_id: Annotated[str, typer.Argument(help="The run, the beginning of its name, or last.")] = "last",
    days: Annotated[int, Flag("--days", help="How many days before its end are written.")] = 7,
    out: Out = None,
) -> None:
    """Write the messages and pictures that a finished backtest would have sent, as a chat to look at."""
    from itb.runs.notify import preview as run

    with progress_bar(options) as progress:
        said = run(options.workspace(progress=progress), run_id, out, days)
    options.show(said)


@command(app, "test")
def notify_test(
    options: Options,
    way: Annotated[str | None, Flag("--way", help="Name of one way; else all are tried.")] = None,
) -> None:
    """Send a test message and a picture by every configured way."""
    from itb.runs.try_ways import try_ways as run

    options.show(run(options.workspace(), way))
