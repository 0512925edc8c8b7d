"""`itb live`: a bot, and the commands that look at it and steer it."""

import typer

app = typer.Typer(help="Trade, on paper or for real; see and steer what runs.", rich_markup_mode=None)
