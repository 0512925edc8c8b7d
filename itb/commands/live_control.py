"""`itb live status`, `orders`, `trades`, `balance`, `pause`, `resume`, `close`, `stop`: a bot from another terminal."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from itb.commands.live import app
from itb.commands.options import Flag, Options, command
from itb.errors import ConfigError

if TYPE_CHECKING:
    from itb.runs.live_control import Bot

BotName = Annotated[
    str, Flag("--bot", metavar="NAME", help="Which bot; else the one that runs, or that of the config.")
]


def _bot(options: Options, name: str) -> "Bot":
    from itb.runs.live_control import find_bot

    project = options.config.parent if options.config is not None else Path()
    return find_bot(name, project, lambda: options.workspace().config)


@command(app)
def status(
    options: Options,
    bot: BotName = "",
    watch: Annotated[bool, Flag("--watch", help="Show it again every second, with the last events.")] = False,
    check: Annotated[bool, Flag("--check", help="Leave with 1 when it does not run, or is halted.")] = False,
) -> None:
    """Show how a bot is: health with reasons, equity, positions, newest bars and scores."""
    from itb.runs import live_control as run

    found = _bot(options, bot)
    if watch and not options.json:
        from rich.console import Console

        run.watch_status(found, Console())
        return
    options.show(run.status(found, must_run=check))


@command(app)
def orders(
    options: Options,
    bot: BotName = "",
    ended: Annotated[int, Flag("--ended", min=0, help="How many finished orders to show, too.")] = 0,
) -> None:
    """List the orders that are not finished."""
    from itb.runs import live_control as run

    options.show(run.orders(_bot(options, bot), ended))


@command(app)
def trades(
    options: Options,
    bot: BotName = "",
    most: Annotated[int, Flag("--most", min=1, help="How many, the newest.")] = 20,
) -> None:
    """List the newest trades, open ones last."""
    from itb.runs import live_control as run

    options.show(run.trades(_bot(options, bot), most))


@command(app)
def balance(options: Options, bot: BotName = "") -> None:
    """List what the account holds."""
    from itb.runs import live_control as run

    options.show(run.balance(_bot(options, bot)))


@command(app)
def pause(options: Options, bot: BotName = "") -> None:
    """Take no new risk until resume; positions stay protected and are closed as ever. Survives a restart."""
    from itb.runs import live_control as run

    options.show(run.pause(_bot(options, bot)))


@command(app)
def resume(options: Options, bot: BotName = "") -> None:
    """Lift a pause or a halt."""
    from itb.runs import live_control as run

    options.show(run.resume(_bot(options, bot)))


@command(app)
def close(
    options: Options,
    market: Annotated[str, typer.Argument(help="Market whose position is closed.", metavar="[SYMBOL]")] = "",
    bot: BotName = "",
    strategy: Annotated[str, Flag("--strategy", help="Close what this strategy holds.", metavar="NAME")] = "",
    everything: Annotated[bool, Flag("--all", help="Close all positions.")] = False,
) -> None:
    """End orders and close positions at the market."""
    from itb.runs import live_control as run

    if everything == bool(market or strategy):
        raise ConfigError("close: name a market (BTC/USDT), a --strategy, or --all of them; not both")
    options.show(run.close(_bot(options, bot), market, strategy))


@command(app)
def stop(
    options: Options,
    bot: BotName = "",
    cancel: Annotated[
        bool | None, Flag("--cancel/--keep", help="Cancel resting orders, or keep them; else as configured.")
    ] = None,
    wait: Annotated[float, Flag("--wait", min=0, help="Seconds to wait for its end.")] = 60.0,
) -> None:
    """End a bot gracefully; positions stay."""
    from itb.runs import live_control as run

    options.show(run.stop(_bot(options, bot), cancel=cancel, wait_s=wait))
