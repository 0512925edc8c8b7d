"""`itb import-config`: what it writes is a config that itb accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.config import load_config
from itb.errors import ConfigError
from itb.runs.import_config import import_config

SAMPLES = sorted((Path(__file__).parent.parent / "config" / "foreign").glob("*.jsonc"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_the_written_config_passes_its_check(sample, tmp_path):
    out = tmp_path / "itb.toml"
    said = import_config(sample, out)
    assert said.data["problems"] == []
    assert not said.found
    config = load_config(out, environ={})
    assert config.strategy.name == "SignalStrategy"
    for line in said.data["no_counterpart"]:
        assert f"# {line}" in out.read_text()


def test_what_our_check_refuses_is_said(tmp_path):
    file, out = tmp_path / "config.json", tmp_path / "itb.toml"
    file.write_text(
        '{"label_sets": [{"generator": "highlow2", "config": {"function": "high", "thresholds": [200], "horizon": 5}}]}'
    )
    said = import_config(file, out)
    assert said.found
    assert "labels[1].threshold_pct: must be a percentage above 0 and below 100, was 200" in said.data["problems"][0]


def test_a_file_that_is_there_is_kept(tmp_path):
    file, out = tmp_path / "config.json", tmp_path / "itb.toml"
    file.write_text('{"freq": "1h"}')
    out.write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        import_config(file, out)
    assert out.read_text() == "mine"
    import_config(file, out, force=True)
    assert 'timeframe = "1h"' in out.read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1\n "b"}', "config.json: line 2, column 2: .*; expected JSON, comments and trailing commas allowed"),
        (b"[1]", "expected one table in braces, was a list"),
        (b"\xff", "not UTF-8 text"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_is_no_config_is_refused(content, message, tmp_path):
    file = tmp_path / "config.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        import_config(file, tmp_path / "itb.toml")
