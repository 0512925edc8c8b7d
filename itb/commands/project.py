"""The project itself: start one, look whether everything is here."""

from pathlib import Path
from typing import Annotated

import typer

from itb.commands.options import Flag, Options, command
from itb.commands.root import app


@command(app)
def init(
    options: Options,
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("itb.toml"),
    force: Annotated[bool, Flag("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a commented itb.toml to start from."""
    from itb.runs.project import init as run

    options.show(run(options.workspace(), file, force=force))


@command(app)
def doctor(options: Options) -> None:
    """Look whether everything itb needs is here and works."""
    from itb.runs.doctor import doctor as run

    options.show(run(options.workspace))
