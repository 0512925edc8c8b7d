"""What every command takes and how it prints; heavy imports stay inside the commands."""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from itb.runs.said import Said
    from itb.runs.workspace import Progress, Workspace

Flag = typer.Option
_FREE_WIDTH = 160


def group(help_text: str) -> typer.Typer:
    """Make a group of commands, such as ``itb data``."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None)


@dataclass(frozen=True)
class Options:
    """What every command takes."""

    config: Annotated[Path | None, Flag("-c", "--config", help="Config file; ./itb.toml is found by itself.")] = None
    symbol: Annotated[list[str] | None, Flag("--symbol", metavar="SYMBOL", help="Market, BTC/USDT; repeatable.")] = None
    timeframe: Annotated[str | None, Flag("--timeframe", help="Length of a bar, such as 15m or 1h.")] = None
    exchange: Annotated[str | None, Flag("--exchange", help="Where bars come from.")] = None
    since: Annotated[str | None, Flag("--from", "--since", help="First day that is used (UTC).")] = None
    until: Annotated[str | None, Flag("--to", "--until", help="Day from which on nothing is used (UTC).")] = None
    bars: Annotated[
        Path | None, Flag("--bars", help="File of bars to read instead of stored ones.", metavar="FILE")
    ] = None
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
            "--bars": None if self.bars is None else str(self.bars),
            "--exchange": self.exchange,
            "--from": self.since,
            "--to": self.until,
            **more,
        }
        loaded = load_config(self.config, self.settings or (), options=shown)
        if loaded.data.file is not None:
            from itb.runs.bars_file import told_by_file

            loaded = load_config(self.config, self.settings or (), options={**shown, **told_by_file(loaded)})
        return Workspace(loaded, include_holdout=include_holdout, progress=progress)

    def market(self, **more: Any) -> "Workspace":
        """Load the config of a command that works on bars, and say when they are the built-in ones."""
        workspace = self.workspace(**more)
        if workspace.config.universe.use:
            from itb.runs.universe import with_universe

            workspace = with_universe(workspace)
        if workspace.config.source is None and workspace.config.data.is_synthetic and not self.json:
            typer.echo("No itb.toml here: using the built-in synthetic market (`itb init` writes a config).", err=True)
        return workspace

    def show(self, said: "Said") -> None:
        """Print what a command says; leave with 1 when it found something wrong."""
        if self.json:
            typer.echo(said.json)
        elif said.drawn is not None and sys.stdout.isatty():
            from rich.console import Console

            Console().print(said.drawn())
        else:
            if said.table is not None:
                _print_table(said.table)
            for line in said.lines:
                typer.echo(line)
        if said.found:
            raise typer.Exit(1)


def command(
    group: typer.Typer, name: str | None = None, *, is_default: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose first parameter, the common options, is filled from the command line.

    ``is_default`` makes it what a group does when no command of it is named.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function).parameters.values())[1:]
        common = [
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type)
            for f in fields(Options)
        ]

        @functools.wraps(function)
        def run(**given: Any) -> None:
            options = Options(**{f.name: given.pop(f.name) for f in fields(Options)})
            context: typer.Context | None = given.pop("context", None)
            if context is not None and context.invoked_subcommand is not None:
                return
            try:
                function(options, **given)
            except KeyboardInterrupt:
                typer.echo("itb: interrupted; run the same command again to go on", err=True)
                raise typer.Exit(130) from None

        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        if is_default:
            keyword.append(inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context))
        run.__signature__ = inspect.Signature([*keyword, *common])  # type: ignore[attr-defined]  # typer reads it
        run.__annotations__ = {p.name: p.annotation for p in (*keyword, *common)}
        if is_default:
            group.callback(invoke_without_command=True)(run)
        else:
            group.command(name)(run)
        return function

    return register


Strategy = Annotated[
    str | None, Flag("--strategy", help="MLThreshold, SignalStrategy, module:Class or file.py:Class.", metavar="NAME")
]
Out = Annotated[Path | None, Flag("--out", help="Where the file goes: NAME.parquet, NAME.csv or a folder.")]
IncludeHoldout = Annotated[bool, Flag("--include-holdout", help="Look into the sealed hold-out; recorded for ever.")]


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
    is_free = not sys.stdout.isatty() and "COLUMNS" not in os.environ  # a file or a pipe has no width of its own
    Console(width=_FREE_WIDTH if is_free else None).print(drawn)
