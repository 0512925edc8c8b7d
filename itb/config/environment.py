"""The environment: an owner-only ``.env`` beside the config, and the secrets that come from nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

from itb.config.secrets import is_secret_name
from itb.errors import ConfigError

ENV_FILE = ".env"
PREFIX = "ITB_"


class Secrets(BaseSettings):
    """What only the environment tells: keys of an exchange account, a bot's token, what signs messages.

    ``ITB_EXCHANGE_API_KEY``, ``ITB_EXCHANGE_API_SECRET``, ``ITB_TELEGRAM_TOKEN``, ``ITB_WEBHOOK_SECRET`` and
    ``ITB_APPRISE_URLS`` (where apprise sends messages, passwords included). Public market data needs none. Printing,
    dumping or failing shows ``**********``.

    >>> Secrets(exchange_api_key="hunter2").exchange_api_key
    SecretStr('**********')
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, hide_input_in_errors=True)

    exchange_api_key: SecretStr | None = None
    exchange_api_secret: SecretStr | None = None
    telegram_token: SecretStr | None = None
    webhook_secret: SecretStr | None = None
    apprise_urls: SecretStr | None = None


def load_secrets(folder: Path) -> Secrets:
    """Read the secrets from the environment, then from ``folder/.env``.

    Raises :class:`itb.errors.ConfigError` when others can read that file.
    """
    env_file = folder / ENV_FILE
    if not env_file.is_file():
        return Secrets()
    _refuse_shared(env_file)
    return Secrets(_env_file=env_file)  # type: ignore[call-arg]  # pydantic-settings adds it without its mypy plugin


def secret_values(folder: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Give the values of all variables whose names say that they hold secrets, so that they can be hidden.

    Reads ``folder/.env``, too; a variable that nothing here uses may still be one that a library reads and tells.

    >>> secret_values(Path("/nowhere"), {"ITB_EXCHANGE_API_KEY": "k3y", "AWS_SECRET_ACCESS_KEY": "s", "HOME": "/"})
    ('k3y', 's')
    """
    env_file = folder / ENV_FILE
    found = {**(read_env_file(env_file) if env_file.is_file() else {}), **environment}
    return tuple(value for name, value in found.items() if value and is_secret_name(name))


def read_env_file(env_file: Path) -> dict[str, str]:
    """Give the variables of an ``.env`` file, names in lower case.

    Raises :class:`itb.errors.ConfigError` when others can read the file or it is not text.
    """
    _refuse_shared(env_file)
    try:
        found = DotEnvSettingsSource(Secrets, env_file=env_file, case_sensitive=False).env_vars
    except UnicodeDecodeError:
        raise ConfigError(f"{env_file}: not a text file; expected lines such as ITB_DATA__TIMEFRAME=1h") from None
    return {name: value for name, value in found.items() if value is not None}


def _refuse_shared(env_file: Path) -> None:
    mode = stat.S_IMODE(env_file.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"{env_file}: others can read it (mode {mode:04o}), and secrets go there; run: chmod 600 {env_file}"
        )


def write_env_file(folder: Path, variables: Mapping[str, str]) -> Path:
    """Put variables into ``folder/.env``, in place of those of the same name, readable by its owner alone.

    The rest of the file stays as it is. It is replaced whole or not at all.
    """
    env_file = folder / ENV_FILE
    kept: list[str] = []
    if env_file.is_file():
        _refuse_shared(env_file)
        names = {name.upper() for name in variables}
        lines = env_file.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.removeprefix("export ").partition("=")[0].strip().upper() not in names]
    draft = env_file.with_name(f"{ENV_FILE}.tmp")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("\n".join([*kept, *(f"{name}={value}" for name, value in variables.items()), ""]))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(env_file)
    return env_file
