"""The root of the command line: `itb` itself, and the order in which its help lists commands."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from itb import __version__
from itb.commands.options import Flag

ORDER = (
    "init",
    "doctor",
    "data",
    "features",
    "labels",
    "train",
    "predict",
    "walkforward",
    "evaluate",
    "signals",
    "simulate",
    "shadows",
    "explore",
    "check",
    "backtest",
    "optimize",
    "verify",
    "live",
    "practice",
    "notify",
    "telegram",
    "report",
    "runs",
    "config",
    "import-config",
)


class InOrder(TyperGroup):
    """Lists commands in the order in which people use them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Give the names: those of ``ORDER`` first."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


app = typer.Typer(
    name="itb",
    cls=InOrder,
    help="Machine-learned trading on backtrader: the same strategy in backtest, search and live.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, Flag("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"itb {__version__}")
        raise typer.Exit
