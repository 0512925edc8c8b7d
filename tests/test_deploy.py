"""The files in deploy/ are what the programs that read them take, and as safe as they say."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from itb.live.cockpit import Status
from itb.live.run.event_log import EventLog, Kind
from itb.live.run.metrics import Metrics, process_families, status_families

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"


def read_yaml(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def steps() -> list[tuple[str, str]]:
    """Instructions of the container file, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", (DEPLOY / "Containerfile").read_text(), flags=re.MULTILINE))
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in text.splitlines() if line]


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    text = (DEPLOY / "itb@.service").read_text()
    (command,) = re.findall(r"^ExecStart=(\S+)", text, re.MULTILINE)
    unit = tmp_path / "itb-demo.service"
    unit.write_text(text.replace(f"ExecStart={command}", f"ExecStart={sys.executable}"))
    return unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
@pytest.mark.parametrize("words", [("verify",), ("security", "--offline=true", "--threshold=20")])
def test_systemd_takes_the_unit_and_finds_it_safe(unit: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run(["systemd-analyze", *words, str(unit)], capture_output=True, text=True, check=False)
    if "Failed to" in done.stderr and "bus" in done.stderr.lower():
        pytest.skip("systemd-analyze needs a running systemd here")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "itb-demo" not in done.stderr, done.stderr


def test_the_unit_stops_gracefully_and_does_not_repeat_mistakes() -> None:
    lines = (DEPLOY / "itb@.service").read_text().splitlines()
    said = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]\w+=", line))
    assert said["KillSignal"] == "SIGTERM"
    assert said["RestartPreventExitStatus"] == "2"
    assert said["EnvironmentFile"].startswith("-/etc/")
    assert said["User"] not in {"root", "0"}
    assert not any(re.match(r"Environment=.*(KEY|SECRET|TOKEN)", line) for line in lines)


def test_the_image_runs_as_nobody_in_particular_and_installs_what_is_locked() -> None:
    found = steps()
    after_last_from = [name for name, _ in found][::-1].index("FROM")
    last_stage = dict(found[len(found) - after_last_from :])
    user = last_stage["USER"]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert last_stage["STOPSIGNAL"] == "SIGTERM"
    installs = [text for name, text in found if name == "RUN" and "pip install" in text]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert all("--no-deps" in text for text in installs)
    for name, text in found:
        assert name in {
            "FROM",
            "WORKDIR",
            "COPY",
            "RUN",
            "ENV",
            "USER",
            "STOPSIGNAL",
            "HEALTHCHECK",
            "ENTRYPOINT",
            "CMD",
        }
        if name in {"ENTRYPOINT", "CMD"}:
            assert json.loads(text)
        if name == "FROM":
            assert text.split()[0].startswith("python:3.")
        if name == "COPY" and not text.startswith("--from"):
            for source in text.split()[:-1]:
                assert (ROOT / source).exists(), source


def test_the_image_s_python_is_one_that_is_supported() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    (versions,) = {re.findall(r"python:3\.(\d+)", text)[0] for name, text in steps() if name == "FROM"}
    assert int(versions) >= int(wanted.rpartition(".")[2])


def test_what_is_copied_is_not_ignored_and_all_else_is() -> None:
    rules = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source
        for name, text in steps()
        if name == "COPY" and not text.startswith("--from")
        for source in text.split()[:-1]
    }
    assert "*" in rules
    assert allowed == copied
    assert "**/.env" in rules


def test_the_container_can_write_nothing_but_its_own() -> None:
    bot = read_yaml("compose.yaml")["services"]["bot"]
    (user,) = {text for name, text in steps() if name == "USER"}
    assert bot["read_only"] is True
    assert bot["user"] == user
    assert bot["cap_drop"] == ["ALL"]
    assert bot["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in bot
    assert "privileged" not in bot
    assert not any(re.search("KEY|SECRET|TOKEN", str(part)) for part in bot.get("environment", ()))
    writable = [volume for volume in bot["volumes"] if not volume.endswith(":ro")]
    assert sorted(volume.split(":")[1] for volume in writable) == ["/project/data", "/project/runs"]


def test_every_command_that_is_called_exists() -> None:
    from typer.main import get_command

    from itb import cli

    unit = (DEPLOY / "itb@.service").read_text()
    (started,) = re.findall(r"^ExecStart=\S+ (.*)$", unit, re.MULTILINE)
    checks = [json.loads(text[text.index("[") :])[1:] for name, text in steps() if name == "HEALTHCHECK"]
    for words in (shlex.split(started), read_yaml("compose.yaml")["services"]["bot"]["command"], *checks):
        command: Any = get_command(cli.app)
        for word in words:
            if not word.startswith("-"):
                command = command.commands[word]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, words


def test_elasticsearch_knows_the_fields_of_the_event_log(tmp_path: Path) -> None:
    mappings = json.loads((DEPLOY / "elastic" / "index-template.json").read_text())["template"]["mappings"]
    types = {name: entry["type"] for name, entry in mappings["properties"].items()}
    log = EventLog(tmp_path / "events.jsonl", lambda: 0, bot="demo")
    log.write(Kind.NOTE)
    log.close()
    head = json.loads((tmp_path / "events.jsonl").read_text())
    assert {name: types[name] for name in head} == {"time": "date", "event": "keyword", "bot": "keyword"}
    assert all(types[name] == "double" for name in ("qty", "price", "fee", "entry_price", "exit_price", "pnl", "close"))
    shipped = read_yaml("elastic/filebeat.yml")
    (source,) = shipped["filebeat.inputs"]
    assert source["paths"] == ["/srv/itb/*/runs/live/*/events.jsonl"]
    assert shipped["output.elasticsearch"]["index"].startswith("itb-events-")


def test_every_alert_asks_for_figures_that_are_told() -> None:
    metrics = Metrics("demo")
    metrics.hear("TICK", {"seconds": 0.1})
    known = set(re.findall(r"^# TYPE (\w+)", metrics.text(), re.MULTILINE))
    known |= {family.name for family in (*status_families(Status("demo")), *process_families("demo"))} | {"up"}
    for group in read_yaml("prometheus/alerts.yml")["groups"]:
        for rule in group["rules"]:
            asked = set(re.findall(r"\b(?:itb|process)_\w+|\bup\b", rule["expr"]))
            assert asked
            assert {re.sub("_bucket$", "", name) for name in asked} <= known, rule["alert"]
    assert read_yaml("prometheus/prometheus.yml")["rule_files"] == ["alerts.yml"]
