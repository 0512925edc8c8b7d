"""The doctor tries everything once and says what is wrong, however it is wrong."""

from __future__ import annotations

import dataclasses
import json
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from itb.errors import ConfigError
from itb.mlmodels.algorithms import ALGORITHMS
from itb.runs import doctor as doctor_module
from itb.runs.doctor import CHECKS, doctor
from itb.runs.workspace import wall_clock


@pytest.fixture
def examined(monkeypatch, workspace):
    """Run only some checks, and give each one's state and detail."""

    def run(*names, place=None, **more):
        monkeypatch.setattr(doctor_module, "CHECKS", {name: CHECKS[name] for name in names})
        said = doctor(lambda: place or workspace(clock=wall_clock, **more))
        return said, {one["what"]: (one["state"], one["detail"]) for one in said.data["checks"]}

    return run


def test_this_machine_is_well(workspace):
    said = doctor(lambda: workspace(clock=wall_clock))
    assert [row for row in said.table.rows if row[1] == "bad"] == []
    assert [row[0] for row in said.table.rows] == ["config", *CHECKS]
    assert not said.found
    assert json.loads(said.json)["versions"]["itb"]


def test_nothing_is_left_behind_by_looking(workspace, tmp_path):
    doctor(lambda: workspace(clock=wall_clock))
    assert list(tmp_path.iterdir()) == []


def test_a_config_that_cannot_be_read_is_a_finding_and_the_rest_is_looked_at(monkeypatch):
    def broken():
        raise ConfigError("itb.toml: data.colour: unknown key")

    monkeypatch.setattr(doctor_module, "CHECKS", {"disk": CHECKS["disk"]})
    said = doctor(broken)
    assert said.found
    assert said.data["checks"][0] == {"what": "config", "state": "bad", "detail": "itb.toml: data.colour: unknown key"}
    assert said.data["checks"][1]["what"] == "disk"
    assert said.lines[0].startswith("1 of 2 checks are bad")


def test_a_part_that_cannot_be_built_makes_the_config_bad(examined, workspace):
    _, found = examined(place=workspace("label.horizon=0"))
    assert found["config"][0] == "bad"
    assert "label.horizon: must be at least 1 bar" in found["config"][1]


def test_a_folder_that_is_a_file_is_bad(examined, tmp_path):
    (tmp_path / "runs").touch()
    said, found = examined("folders")
    assert said.found
    assert found["folders"] == (
        "bad", f"NotADirectoryError: {tmp_path}/runs is a file, and a folder is needed there"
    )  # fmt: skip


def test_a_clock_of_another_century_is_bad(examined, workspace):
    _, found = examined("clock", place=workspace(clock=lambda: 0))
    assert found["clock"][0] == "bad"
    assert "1970-01-01" in found["clock"][1]


def test_a_clock_that_differs_from_the_disk_s_is_a_warning(examined, workspace):
    said, found = examined("clock", place=workspace(clock=lambda: wall_clock() + 60_000))
    assert found["clock"][0] == "warn"
    assert not said.found
    assert said.lines == ("All 2 checks passed, 1 with a warning.",)


def test_a_full_disk_is_told(examined, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _path: dataclasses.make_dataclass("Usage", ["free"])(10 * 1024**2))
    assert examined("disk")[1]["disk"] == ("bad", "0.0 GiB free; a run with minute bars may need 2 GiB")


def test_stored_bars_are_counted(examined, stored):
    stored()
    assert examined("bar store")[1]["bar store"][1].startswith("1 series, 400 bars in ")


def test_bars_of_the_future_are_a_warning(examined, stored):
    stored(start=4_000_000_000_000 - 4_000_000_000_000 % 3_600_000)
    assert examined("bar store")[1]["bar store"][0] == "warn"


def test_a_damaged_file_of_the_configured_bars_is_bad(examined, workspace, stored, damage):
    stored()
    damage()
    state, detail = examined("bars", place=workspace("data.exchange=mine"))[1]["bars"]
    assert state == "bad"
    assert ".parquet" in detail


def test_configured_bars_that_are_not_stored_are_bad(examined, workspace):
    assert examined("bars", place=workspace("data.exchange=mine"))[1]["bars"][0] == "bad"


def test_a_package_that_is_absent_is_bad(examined, monkeypatch):
    def version(name):
        if name == "ccxt":
            raise PackageNotFoundError(name)
        return "1.9.78.123"

    monkeypatch.setattr(doctor_module, "version", version)
    assert examined("packages")[1]["packages"] == (
        "bad", "not installed: ccxt; install itb with its requirements.lock"
    )  # fmt: skip


def test_another_backtrader_than_the_one_that_was_tested_is_a_warning(examined, monkeypatch):
    monkeypatch.setattr(doctor_module, "version", lambda _name: "2.0")
    assert examined("packages")[1]["packages"] == ("warn", "backtrader is 2.0, itb was tested with 1.9.78.123")


def test_a_library_that_does_not_load_is_bad_and_not_a_crash(examined, monkeypatch):
    def broken(*_args, **_more):
        raise ImportError("libta_lib.so: cannot open shared object file")

    monkeypatch.setattr("itb.indicators.talib_features.TalibFeatures.__call__", broken)
    assert examined("TA-Lib")[1]["TA-Lib"] == (
        "bad", "ImportError: libta_lib.so: cannot open shared object file"
    )  # fmt: skip


def test_a_library_that_computes_nonsense_is_bad(examined, monkeypatch):
    monkeypatch.setattr("itb.indicators.talib_features.TalibFeatures.__call__", lambda _self, bars: bars.close[:, None])
    assert examined("TA-Lib")[1]["TA-Lib"][0] == "bad"


def test_an_algorithm_that_learns_nothing_is_bad(examined, monkeypatch):
    class Stone:
        def fit(self, features, _labels, seed):
            return self

        def predict(self, features):
            return np.zeros(len(features))

    monkeypatch.setitem(ALGORITHMS, "lightgbm", Stone)
    assert examined("models")[1]["models"] == ("bad", "lightgbm learned nothing from an easy table")
