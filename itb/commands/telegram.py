"""`itb telegram`: a bot that tells and obeys its owner."""

from getpass import getpass

import typer

from itb.commands.options import Options, command, group

app = group("A Telegram bot that tells you what happens, and obeys you alone.")


@command(app, "setup")
def telegram_setup(options: Options) -> None:
    """Connect a bot to your account: asks for its token, waits for your /start, sends a test picture."""
    from itb.runs.telegram_setup import setup as run

    def ask() -> str:
        try:
            return getpass("Token that @BotFather gave you (it is not shown): ")
        except EOFError:
            return ""

    options.show(run(options.workspace(), ask, lambda line: typer.echo(line, err=options.json)))
