"""`itb data`: import, download, merge, list, universe, check."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from itb.commands.options import Flag, IncludeHoldout, Options, command, group, progress_bar

app = group("Bars: import, download, merge with other sources, list, universe, check.")


@command(app, "import")
def data_import(
    options: Options,
    files: Annotated[list[Path], typer.Argument(help="CSV, Parquet or Feather files, also .zip or .gz.")],
) -> None:
    """Import bars from files; symbol and timeframe are read from the name or the bars where not given."""
    from itb.runs.data import import_files as run

    project = replace(options, symbol=None, timeframe=None)  # what a file holds need not be what is traded
    with progress_bar(options) as progress:
        said = run(project.workspace(progress=progress), files, options.symbol, options.timeframe)
    options.show(said)


@command(app, "download")
def data_download(
    options: Options,
    days: Annotated[int | None, Flag("--days", help="The last so many days, instead of --since.")] = None,
    archive: Annotated[bool, Flag("--archive", help="Read the exchange's public monthly and daily archive.")] = False,
    repair: Annotated[bool, Flag("--repair", help="Ask again for bars that are missing.")] = False,
    sources: Annotated[
        bool, Flag("--sources", help="Also what [[sources]] name of exchanges: bars, funding, mark prices.")
    ] = False,
) -> None:
    """Download bars; goes on where an earlier download stopped."""
    from itb.runs.data import download as run

    project = replace(options, since=None, until=None)  # what is fetched need not be what is used
    with progress_bar(options) as progress:
        said = run(
            project.workspace(progress=progress),
            days=days,
            since=options.since,
            until=options.until,
            archive=archive,
            repair=repair,
            sources=sources,
        )
    options.show(said)


@command(app, "merge")
def data_merge(
    options: Options,
    out: Annotated[Path | None, Flag("--out", help="A .parquet or .csv file, or a folder.")] = None,
    include_holdout: IncludeHoldout = False,
) -> None:
    """Write the bars with what every source joins to them, and say what each source covers."""
    from itb.runs.merge import merge as run

    with progress_bar(options) as progress:
        said = run(options.market(include_holdout=include_holdout, progress=progress), out)
    options.show(said)


@command(app, "list")
def data_list(options: Options) -> None:
    """List the stored bars."""
    from itb.runs.data import list_series as run

    options.show(run(options.workspace()))


@command(app, "universe")
def data_universe(
    options: Options,
    at: Annotated[
        str | None, Flag("--at", help="As of when (UTC); universe.at, data.from or the newest bar by itself.")
    ] = None,
    history: Annotated[bool, Flag("--history", help="List what each refresh from then on changes.")] = False,
) -> None:
    """Show which stored markets the rules of [universe] choose, by which figures, and why not the others."""
    from itb.runs.universe import list_universe as run

    with progress_bar(options) as progress:
        said = run(options.workspace(progress=progress), at, history=history)
    options.show(said)


@command(app, "check")
def data_check(options: Options) -> None:
    """Look for gaps, frozen or jumping prices and contradictions; exit code 1 when something is wrong."""
    from itb.runs.data import check as run

    options.show(run(options.workspace()))
