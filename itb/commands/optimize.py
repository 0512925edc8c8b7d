"""`itb optimize`: search, help a search, write what it picks."""

from typing import Annotated

import typer

from itb.commands.options import Flag, Options, Out, command, progress_bar
from itb.errors import RunError

app = typer.Typer(help="Search settings, and judge what was found.", rich_markup_mode=None)

Storage = Annotated[str, Flag("--storage", metavar="URL", help="Database of the study, for several machines.")]
StudyName = Annotated[str, typer.Argument(help="Name of the study.", metavar="STUDY")]


@command(app, is_default=True)
def optimize(
    options: Options,
    trials: Annotated[int | None, Flag("--trials", min=1, help="Trials in all; goes on to so many.")] = None,
    more: Annotated[int | None, Flag("--more", min=1, help="So many trials beside those that are there.")] = None,
    sampler: Annotated[str | None, Flag("--sampler", help="tpe, grid, random, gp, cmaes, nsga2 or qmc.")] = None,
    objective: Annotated[list[str] | None, Flag("--objective", help="What is striven for; repeatable.")] = None,
    timeout: Annotated[float | None, Flag("--timeout", min=1, help="Stop after so many seconds.")] = None,
    jobs: Annotated[int, Flag("--jobs", min=1, help="Processes that search.")] = 1,
    study: Annotated[str, Flag("--study", help="Name; by itself made from space, data and settings.")] = "",
    storage: Storage = "",
    walk_forward: Annotated[bool, Flag("--walk-forward", help="Search again before each window, trade it.")] = False,
    open_holdout: Annotated[bool, Flag("--open-holdout", help="Open the sealed hold-out; recorded for ever.")] = False,
) -> None:
    """Search model settings and thresholds, confirm the best in backtrader, and say what the result is worth."""
    from itb.runs import optimize as run

    shown = {"--sampler": sampler, "--objective": objective}
    asked = run.Asked(trials, more, timeout, jobs, study, storage)
    if walk_forward and open_holdout:
        raise RunError("--open-holdout opens it for the settings that a search picks; --walk-forward picks none")
    if trials is not None and more is not None:
        raise RunError("--trials says how many in all, --more how many beside those that are there; name one of them")
    with progress_bar(options) as progress:
        workspace = options.market(progress=progress, **shown)
        if walk_forward:
            said = run.walk_forward(workspace, asked)
        else:
            said = run.optimize(workspace, asked, open_holdout=open_holdout)
    options.show(said)


@command(app, "list")
def list_(
    options: Options,
    most: Annotated[int, Flag("--most", min=1, help="How many, those that were written last.")] = 20,
) -> None:
    """List the project's studies: how far each is, its best trial, its verdict."""
    from itb.runs.studies import list_studies as run

    options.show(run(options.workspace(), most))


@command(app, "apply")
def apply(
    options: Options,
    study: StudyName,
    trial: Annotated[int | None, typer.Argument(help="One of its trials, instead of what it picks.")] = None,
    storage: Storage = "",
    out: Out = None,
) -> None:
    """Write what a study picks on all unsealed data as a config that backtest and live take."""
    from itb.runs import optimize as run

    options.show(run.apply(options.market(), run.Asked(name=study, storage=storage), trial, out))


@command(app, "worker")
def worker(
    options: Options,
    study: Annotated[str, Flag("--study", help="Name of the study.")],
    storage: Storage = "",
    trials: Annotated[int | None, Flag("--trials", min=1, help="Trials in all.")] = None,
    timeout: Annotated[float | None, Flag("--timeout", min=1, help="Stop after so many seconds.")] = None,
) -> None:
    """Help with a study that was begun elsewhere; needs the same config and the same bars."""
    from itb.runs import optimize as run

    with progress_bar(options) as progress:
        said = run.worker(options.market(progress=progress), run.Asked(trials, None, timeout, 1, study, storage))
    options.show(said)
