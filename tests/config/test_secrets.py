from collections.abc import Callable
from pathlib import Path

import pytest

from itb.config import load_config
from itb.config.environment import Secrets, load_secrets
from itb.errors import ConfigError

Write = Callable[[str], Path]

CANARY = "hunter2-canary"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f'[data]\napi_key = "{CANARY}"', "data.api_key"),
        (f'telegram_token = "{CANARY}"', "telegram_token"),
        (f'[strategy.nested]\npassword = "{CANARY}"', "strategy.nested.password"),
        (f'[[features]]\nfamily = "x"\nmy-secret = "{CANARY}"', "features[1].my-secret"),
    ],
)
def test_a_secret_in_the_config_is_refused_and_not_repeated(write: Write, text: str, key: str) -> None:
    write(text)
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert str(caught.value).startswith(f"itb.toml: {key}: looks like a secret")
    assert CANARY not in str(caught.value)


def test_a_secret_on_the_command_line_is_refused(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"--set: data\.password: looks like a secret") as caught:
        load_config(overrides=[f"data.password={CANARY}"])
    assert CANARY not in str(caught.value)


def test_secrets_come_from_the_environment_and_show_stars(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITB_EXCHANGE_API_KEY", CANARY)
    secrets = load_secrets(project)
    assert secrets.exchange_api_key is not None
    assert secrets.exchange_api_key.get_secret_value() == CANARY
    assert secrets.exchange_api_secret is None
    assert CANARY not in f"{secrets!r} {secrets} {secrets.model_dump()} {secrets.model_dump_json()}"
    assert CANARY not in repr(load_config()) + str(load_config().plain())


def test_secrets_come_from_an_owner_only_dotenv(project: Path) -> None:
    env_file = project / ".env"
    env_file.write_text(f"ITB_EXCHANGE_API_SECRET={CANARY}\n", encoding="utf-8")
    env_file.chmod(0o600)
    secret = load_secrets(project).exchange_api_secret
    assert secret is not None
    assert secret.get_secret_value() == CANARY
    assert Secrets().exchange_api_secret is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_dotenv_that_others_may_open_is_refused_with_the_fix(project: Path, mode: int) -> None:
    env_file = project / ".env"
    env_file.write_text(f"ITB_EXCHANGE_API_SECRET={CANARY}\n", encoding="utf-8")
    env_file.chmod(mode)
    for read in (load_config, lambda: load_secrets(Path())):
        with pytest.raises(ConfigError, match=r"run: chmod 600 \.env") as caught:
            read()
        assert CANARY not in str(caught.value)
