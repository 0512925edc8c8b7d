"""`itb runs`: finished runs."""

from typing import Annotated

import typer

from itb.commands.options import Options, command, group, progress_bar

app = group("Finished runs: list, show, reproduce.")


@command(app, "list")
def runs_list(options: Options) -> None:
    """List the finished runs, newest last."""
    from itb.runs.history import list_runs as run

    options.show(run(options.workspace()))


@command(app, "show")
def runs_show(
    options: Options,
    run_id: Annotated[str, typer.Argument(help="The run, the beginning of its name, or last.")] = "last",
) -> None:
    """Show one run: what it was, its figures and where its files are."""
    from itb.runs.history import show_run as run

    options.show(run(options.workspace(), run_id))


@command(app, "reproduce")
def runs_reproduce(
    options: Options,
    run_id: Annotated[str, typer.Argument(help="The run, the beginning of its name, or last.")] = "last",
) -> None:
    """Run it again from its capsule and compare every table byte for byte."""
    from itb.runs.history import reproduce as run

    with progress_bar(options) as progress:
        said = run(options.workspace(progress=progress), run_id)
    options.show(said)


@command(app, "prune")
def runs_prune(
    options: Options,
    days: Annotated[int, typer.Option("--days", help="Keep what was used in so many days.")] = 30,
) -> None:
    """Remove trained folds and scores that were not used for long; they can be computed again."""
    from itb.runs.prune import prune as run

    options.show(run(options.workspace(), days))
