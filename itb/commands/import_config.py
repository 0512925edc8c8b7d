"""`itb import-config`."""

from pathlib import Path
from typing import Annotated

import typer

from itb.commands.options import Flag, Options, command
from itb.commands.root import app


@command(app, "import-config")
def import_config(
    options: Options,
    file: Annotated[Path, typer.Argument(help="A config of intelligent-trading-bot, JSON with comments.")],
    out: Annotated[Path, Flag("--out", help="The file to write.")] = Path("itb.toml"),
    force: Annotated[bool, Flag("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Turn a config of intelligent-trading-bot into ours; say what has no counterpart."""
    from itb.runs.import_config import import_config as run

    options.show(run(file, out, force=force))
