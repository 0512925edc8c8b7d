from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from itb.config import Config, load_config
from itb.config.dump import config_hash
from itb.errors import RunError
from itb.runs.capsule import new_run_id, read_capsule, run_folders, run_ids, table_hash, versions, write_capsule

TABLES = {"fills": pa.table({"bar": [1, 2], "price": [1.5, 2.5]}), "equity": pa.table({"equity": [1.0]})}


@pytest.fixture
def write(tmp_path):
    def go(name="20240101-000000-x-1h-aaaa", report="<html>"):
        return write_capsule(tmp_path / "runs" / name, Config(), {"run": name}, TABLES, report)

    return go


def test_a_capsule_reads_back_as_it_was_written(write, tmp_path):
    written = write()
    read = read_capsule(tmp_path / "runs", "last")
    assert read == written
    assert read.run_id == read.manifest["run"] == "20240101-000000-x-1h-aaaa"
    assert read.table("fills").equals(TABLES["fills"])
    assert read.report.read_text() == "<html>"
    assert config_hash(load_config(read.folder / "config.toml", environ={})) == config_hash(Config())
    assert read.manifest["versions"] == versions()


def test_a_table_that_is_not_there_is_told_with_those_that_are(write):
    with pytest.raises(RunError, match="has no table 'scores'; it has fills, equity"):
        write().table("scores")


@pytest.mark.parametrize("where", ["itb.runs.capsule.dump_toml", "itb.runs.capsule.table_hash", "os.fsync"])
def test_a_write_that_breaks_off_leaves_no_half_capsule(where, write, tmp_path, monkeypatch):
    def break_off(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(where, break_off)
        with pytest.raises(KeyboardInterrupt):
            write()
    assert run_ids(tmp_path / "runs") == run_folders(tmp_path / "runs") == []
    write()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["20240101-000000-x-1h-aaaa"]


def test_a_table_s_hash_depends_on_names_types_and_values_alone(tmp_path):
    table = TABLES["fills"]
    pq.write_table(table, tmp_path / "t.parquet", compression="gzip")
    same = pq.read_table(tmp_path / "t.parquet").replace_schema_metadata({"written": "today"})
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1, 1)])
    assert table_hash(table) == table_hash(same) == table_hash(chunked)
    others = [
        table.rename_columns(["bar", "cost"]),
        table.slice(0, 1),
        pa.table({"bar": [1, 2], "price": [1.5, 2.500001]}),
        pa.table({"bar": pa.array([1, 2], pa.int32()), "price": [1.5, 2.5]}),
    ]
    assert len({table_hash(each) for each in [table, *others]}) == 5


def test_the_newest_run_is_last(write, tmp_path):
    for when in (3_000, 1_000, 2_000):
        write(new_run_id(when * 1000, "BTC/USDT", "1h"))
    assert read_capsule(tmp_path / "runs", "last").run_id.startswith("19700101-005000-btcusdt-1h-")
    assert run_ids(tmp_path / "runs") == sorted(run_ids(tmp_path / "runs"))


def test_an_ambiguous_or_unknown_name_is_told(write, tmp_path):
    write("20240101-000000-x-1h-aaaa")
    write("20240101-000000-x-1h-bbbb")
    with pytest.raises(RunError, match=r"2 runs begin so: .*aaaa, .*bbbb; write more of the name"):
        read_capsule(tmp_path / "runs", "2024")
    with pytest.raises(RunError, match="`itb runs list` shows the 2 runs there are"):
        read_capsule(tmp_path / "runs", "2025")


def test_a_manifest_that_is_not_json_is_told(write, tmp_path):
    capsule = write()
    (capsule.folder / "capsule.json").write_text("{")
    with pytest.raises(RunError, match=r"capsule.json cannot be read \(.*\); delete the folder and run again"):
        read_capsule(tmp_path / "runs", "last")


def test_the_manifest_holds_no_number_that_json_has_not(write):
    text = (write().folder / "capsule.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_folders_without_a_manifest_are_no_runs_but_are_seen(write, tmp_path):
    capsule = write()
    (capsule.folder / "capsule.json").unlink()
    (tmp_path / "runs" / "notes").mkdir()
    assert run_ids(tmp_path / "runs") == []
    assert run_folders(tmp_path / "runs") == [capsule.run_id]
    assert run_folders(tmp_path / "nowhere") == []
