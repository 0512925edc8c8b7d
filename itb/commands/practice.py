"""`itb practice`."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer

from itb.commands.options import Flag, Options, command
from itb.commands.root import app


@command(app)
def practice(
    options: Options,
    speed: Annotated[str, Flag("--speed", help="Market seconds per second, max, or lockstep.")] = "1",
    faults: Annotated[str, Flag("--faults", help="What goes wrong: KIND=RATE of 1,000, KIND@N, all=RATE.")] = "",
    seed: Annotated[int, Flag("--seed", help="What faults are drawn from.")] = 0,
    port: Annotated[int, Flag("--port", min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    start: Annotated[str | None, Flag("--start", help="Market time at which the replay begins (UTC).")] = None,
    cash: Annotated[float | None, Flag("--cash", min=0, help="Opening balance of each quote currency.")] = None,
    volume_share: Annotated[
        float | None, Flag("--volume-share", help="Share of a bar's volume that orders may fill; else all.")
    ] = None,
    limits: Annotated[bool, Flag("--limits", help="Enforce request weights: 429, then 418.")] = False,
) -> None:
    """Serve bars as a Binance-compatible exchange on this machine, to rehearse on; --bars 300 replays 300."""
    from itb.runs.practice import Rehearsal
    from itb.runs.practice import practice as run

    options, bars = counted_bars(options)
    rehearsal = Rehearsal(
        speed, bars, moment("--start", start), faults, seed, cash=cash, volume_share=volume_share, limits=limits
    )
    options.show(run(options.market(), rehearsal, port, lambda line: typer.echo(line, err=options.json)))


def counted_bars(options: Options) -> tuple[Options, int | None]:
    """Read ``--bars 300`` as a number of bars; anything else stays what it is elsewhere, a file."""
    if options.bars is None or not str(options.bars).isdecimal():
        return options, None
    return replace(options, bars=None), int(str(options.bars))


def moment(option: str, text: str | None) -> int | None:
    """Read a day or a moment, UTC where it names no zone, as milliseconds."""
    from datetime import UTC

    from itb.errors import ConfigError

    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f'{option}: expected a day such as "2024-03-01", was {text!r}') from None
    aware = read if read.tzinfo is not None else read.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)
