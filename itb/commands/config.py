"""`itb config`: the settings."""

from itb.commands.options import Options, command, group

app = group("The config: check, show, schema.")


@command(app, "check")
def config_check(options: Options) -> None:
    """Check every setting and build every part once."""
    from itb.runs.project import check_config as run

    options.show(run(options.workspace()))


@command(app, "show")
def config_show(options: Options) -> None:
    """Show every setting in force and who set it."""
    from itb.runs.project import show_config as run

    options.show(run(options.workspace()))


@command(app, "schema")
def config_schema(options: Options) -> None:
    """Print the JSON Schema of the config, for editors."""
    from itb.runs.project import schema as run

    options.show(run(options.workspace()))
