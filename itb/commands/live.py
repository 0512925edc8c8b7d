"""`itb live`: a bot, and the commands that look at it and steer it."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from itb.commands.options import Flag, Options, command
from itb.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="Trade, on paper or for real; see and steer what runs.", rich_markup_mode=None)

REHEARSAL = (
    "data.timeframe=1m",
    "walkforward.train=5000",
    "walkforward.refit_every=1000",
    "strategy.buy_threshold=0.51",
    "strategy.sell_threshold=0.49",
)
"""What a rehearsal without any config uses: minutes, so that one need not wait, and a strategy that trades often."""


@command(app, is_default=True)
def live(
    options: Options,
    paper: Annotated[bool, Flag("--paper", help="Fill orders here, by live bars; needs no key.")] = False,
    practice: Annotated[bool, Flag("--practice", help="Start a practice exchange and trade on it.")] = False,
    speed: Annotated[str, Flag("--speed", help="Practice: market seconds per second, max, or lockstep.")] = "60",
    faults: Annotated[str, Flag("--faults", help="Practice: what goes wrong, see `itb practice`.")] = "",
    seed: Annotated[int, Flag("--seed", help="Practice: what faults are drawn from.")] = 0,
    start: Annotated[str | None, Flag("--start", help="Practice: market time at which it begins (UTC).")] = None,
    confirm: Annotated[
        str, Flag("--confirm", metavar="NAME", help="Trade with real money: the bot's name, instead of being asked.")
    ] = "",
) -> None:
    """Run the strategy live; --bars 300 stops after 300 bars. Ctrl-C ends it, and the same command goes on."""
    from itb.commands.practice import counted_bars, moment
    from itb.live.run.redaction import hide_in_uncaught
    from itb.runs.live import Launch, describe_account
    from itb.runs.live import live as run
    from itb.runs.practice import Rehearsal

    hide_in_uncaught()
    options, bars = counted_bars(options)
    if not practice and (speed != "60" or faults or seed or start is not None):
        raise ConfigError("--speed, --faults, --seed and --start belong to --practice; add it, or leave them out")
    workspace = options.market()
    if practice and workspace.config.source is None and options.timeframe is None:
        options = replace(options, settings=[*REHEARSAL, *(options.settings or ())])
        workspace = options.workspace()
    rehearsal = Rehearsal(speed, bars, moment("--start", start), faults, seed) if practice else None
    launch = Launch(paper, rehearsal, bars or 0, options.workspace)
    if launch.mode == "live":
        _agree(workspace.config.live.name, describe_account(workspace), confirm)
    options.show(run(workspace, launch, lambda line: typer.echo(line, err=options.json), _console(options)))


def _console(options: Options) -> "Console | None":
    if options.json or not sys.stdout.isatty():
        return None
    from rich.console import Console

    return Console()


def _agree(name: str, account: tuple[str, ...], confirm: str) -> None:
    """Let a person say that it is meant."""
    for line in account:
        typer.echo(line, err=True)
    if not confirm and sys.stdin.isatty():
        confirm = typer.prompt(f"Real money. Type the bot's name ({name}) to start", err=True)
    if confirm != name:
        raise ConfigError(
            f"not started: trading with real money is confirmed by the bot's name, --confirm {name}; "
            "rehearse with --practice or --paper first"
        )
