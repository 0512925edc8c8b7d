"""The command line: parse, call one function of runs, print. Heavy imports stay inside the commands."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from itb import __version__
from itb.errors import ItbError

if TYPE_CHECKING:
    from itb.runs.said import Said
    from itb.runs.workspace import Progress, Workspace

Flag = typer.Option
app = typer.Typer(
    name="itb",
    help="Machine-learned trading on backtrader: the same strategy in backtest, search and live.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
data_app = typer.Typer(help="Bars: import, download, list, check.", no_args_is_help=True, rich_markup_mode=None)
runs_app = typer.Typer(help="Finished runs: list, show, reproduce.", no_args_is_help=True, rich_markup_mode=None)
config_app = typer.Typer(help="The config: check, show, schema.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")
app.add_typer(runs_app, name="runs")
app.add_typer(config_app, name="config")


@dataclass(frozen=True)
class Options:
    """What every command takes."""

    config: Annotated[Path | None, Flag("-c", "--config", help="Config file; ./itb.toml is found by itself.")] = None
    symbol: Annotated[list[str] | None, Flag("--symbol", metavar="SYMBOL", help="Market, BTC/USDT; repeatable.")] = None
    timeframe: Annotated[str | None, Flag("--timeframe", help="Length of a bar, such as 15m or 1h.")] = None
    exchange: Annotated[str | None, Flag("--exchange", help="Where bars come from.")] = None
    since: Annotated[str | None, Flag("--from", "--since", help="First day that is used (UTC).")] = None
    until: Annotated[str | None, Flag("--to", "--until", help="Day from which on nothing is used (UTC).")] = None
    settings: Annotated[list[str] | None, Flag("--set", metavar="KEY=VALUE", help="Any setting; repeatable.")] = None
    json: Annotated[bool, Flag("--json", help="Print JSON instead of text.")] = False
    debug: Annotated[bool, Flag("--debug", help="Show the whole trace of an error.")] = False

    def workspace(
        self, *, include_holdout: bool = False, progress: "Progress | None" = None, **more: Any
    ) -> "Workspace":
        """Load the config with these options over it."""
        from itb.config import load_config
        from itb.runs.workspace import Workspace

        shown = {
            "--symbol": self.symbol,
            "--timeframe": self.timeframe,
            "--exchange": self.exchange,
            "--from": self.since,
            "--to": self.until,
            **more,
        }
        loaded = load_config(self.config, self.settings or (), options=shown)
        return Workspace(loaded, include_holdout=include_holdout, progress=progress)

    def market(self, **more: Any) -> "Workspace":
        """Load the config of a command that works on bars, and say when they are the built-in ones."""
        workspace = self.workspace(**more)
        if workspace.config.source is None and workspace.config.data.is_synthetic and not self.json:
            typer.echo("No itb.toml here: using the built-in synthetic market (`itb init` writes a config).", err=True)
        return workspace

    def show(self, said: "Said") -> None:
        """Print what a command says; leave with 1 when it found something wrong."""
        if self.json:
            typer.echo(said.json)
        else:
            if said.table is not None:
                _print_table(said.table)
            for line in said.lines:
                typer.echo(line)
        if said.found:
            raise typer.Exit(1)


def command(group: typer.Typer, name: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose first parameter, the common options, is filled from the command line."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function).parameters.values())[1:]
        common = [
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type)
            for f in fields(Options)
        ]

        @functools.wraps(function)
        def run(**given: Any) -> None:
            options = Options(**{f.name: given.pop(f.name) for f in fields(Options)})
            try:
                function(options, **given)
            except KeyboardInterrupt:
                typer.echo("itb: interrupted; run the same command again to go on", err=True)
                raise typer.Exit(130) from None

        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        run.__signature__ = inspect.Signature([*keyword, *common])  # type: ignore[attr-defined]  # typer reads it
        run.__annotations__ = {p.name: p.annotation for p in (*keyword, *common)}
        group.command(name)(run)
        return function

    return register


Strategy = Annotated[str | None, Flag("--strategy", help="MLThreshold, module:Class or file.py:Class.", metavar="NAME")]
Out = Annotated[Path | None, Flag("--out", help="Where the Parquet file goes.")]
IncludeHoldout = Annotated[bool, Flag("--include-holdout", help="Look into the sealed hold-out; recorded for ever.")]


@command(app)
def init(
    options: Options,
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("itb.toml"),
    force: Annotated[bool, Flag("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a commented itb.toml to start from."""
    from itb.runs.project import init as run

    options.show(run(options.workspace(), file, force=force))


@command(data_app, "import")
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


@command(data_app, "download")
def data_download(
    options: Options,
    days: Annotated[int | None, Flag("--days", help="The last so many days, instead of --since.")] = None,
    archive: Annotated[bool, Flag("--archive", help="Read the exchange's public monthly and daily archive.")] = False,
    repair: Annotated[bool, Flag("--repair", help="Ask again for bars that are missing.")] = False,
) -> None:
    """Download bars; goes on where an earlier download stopped."""
    from itb.runs.data import download as run

    with progress_bar(options) as progress:
        said = run(options.workspace(progress=progress), days=days, archive=archive, repair=repair)
    options.show(said)


@command(data_app, "list")
def data_list(options: Options) -> None:
    """List the stored bars."""
    from itb.runs.data import list_series as run

    options.show(run(options.workspace()))


@command(data_app, "check")
def data_check(options: Options) -> None:
    """Look for gaps, frozen or jumping prices and contradictions; exit code 1 when something is wrong."""
    from itb.runs.data import check as run

    options.show(run(options.workspace()))


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


@command(runs_app, "list")
def runs_list(options: Options) -> None:
    """List the finished runs, newest last."""
    from itb.runs.history import list_runs as run

    options.show(run(options.workspace()))


@command(runs_app, "show")
def runs_show(
    options: Options,
    run_id: Annotated[str, typer.Argument(help="The run, the beginning of its name, or last.")] = "last",
) -> None:
    """Show one run: what it was, its figures and where its files are."""
    from itb.runs.history import show_run as run

    options.show(run(options.workspace(), run_id))


@command(runs_app, "reproduce")
def runs_reproduce(
    options: Options,
    run_id: Annotated[str, typer.Argument(help="The run, the beginning of its name, or last.")] = "last",
) -> None:
    """Run it again from its capsule and compare every table byte for byte."""
    from itb.runs.history import reproduce as run

    with progress_bar(options) as progress:
        said = run(options.workspace(progress=progress), run_id)
    options.show(said)


@command(app)
def check(options: Options, strategy: Strategy = None) -> None:
    """Prove the laws on the configured features, label, model and strategy; exit code 1 when one is broken."""
    from itb.runs.laws import check as run

    with progress_bar(options) as progress:
        said = run(options.market(progress=progress, **{"--strategy": strategy}))
    options.show(said)


@command(app)
def doctor(options: Options) -> None:
    """Look whether everything itb needs is here and works."""
    from itb.runs.doctor import doctor as run

    options.show(run(options.workspace))


@command(config_app, "check")
def config_check(options: Options) -> None:
    """Check every setting and build every part once."""
    from itb.runs.project import check_config as run

    options.show(run(options.workspace()))


@command(config_app, "show")
def config_show(options: Options) -> None:
    """Show every setting in force and who set it."""
    from itb.runs.project import show_config as run

    options.show(run(options.workspace()))


@command(config_app, "schema")
def config_schema(options: Options) -> None:
    """Print the JSON Schema of the config, for editors."""
    from itb.runs.project import schema as run

    options.show(run(options.workspace()))


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, Flag("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"itb {__version__}")
        raise typer.Exit


@contextmanager
def progress_bar(options: Options) -> "Iterator[Progress | None]":
    """Draw progress on the terminal's error stream; nothing is drawn for programs."""
    if options.json or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(done: int, total: int, what: str) -> None:
            if total != bar.tasks[0].total or done < bar.tasks[0].completed:
                bar.reset(task, total=total)
            bar.update(task, completed=done, description=what)

        yield tell


def _print_table(table: Any) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(table.columns):
        drawn.add_column(column, no_wrap=place == 0, overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)


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
        typer.echo(f"itb: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if wants_trace:
            raise
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        typer.echo(f"itb: {what}; look at the path, who may write there, and the room on the disk", err=True)
        sys.exit(2)
    except Exception as error:
        if wants_trace:
            raise
        typer.echo(f"itb: unexpected {type(error).__name__}: {error}; run again with --debug for the trace", err=True)
        sys.exit(70)
