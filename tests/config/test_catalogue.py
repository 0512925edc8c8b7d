import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.config import Config, load_config
from itb.config.catalogue import Table, parts, sections
from itb.config.check import check
from itb.config.schema import schema
from itb.config.starter import proposed_holdout, starter

Write = Callable[[str], Path]


@pytest.mark.parametrize("table", list(sections()), ids=lambda table: table.title)
def test_every_section_and_key_says_what_it_means(table: Table) -> None:
    assert table.meaning
    assert [key.name for key in table.keys if not key.meaning] == []


def test_meanings_are_markdown_without_examples() -> None:
    told = " ".join(table.meaning + " ".join(key.meaning for key in table.keys) for table in (*sections(), *parts()))
    assert [mark for mark in (">>>", ":class:", ":mod:", ":data:", "``", "-----") if mark in told] == []


def test_the_schema_knows_every_key() -> None:
    text = json.dumps(schema())
    assert json.loads(text) == schema()
    for table in (*sections(), *parts()):
        for key in table.keys:
            assert f'"{key.name}": {{' in text
    assert '"null"' not in text


def test_the_schema_tells_parts_apart_by_their_name() -> None:
    labels = schema()["properties"]["label"]["anyOf"]
    assert {"future_return", "highlow2"} <= {label["properties"]["kind"]["const"] for label in labels}
    optional = [label for label in labels if "kind" not in label.get("required", [])]
    assert [label["properties"]["kind"]["const"] for label in optional] == ["future_return"]
    assert schema()["properties"]["strategy"]["anyOf"][-1] == {
        "properties": {"name": {"type": "string", "pattern": ":"}},
        "required": ["name"],
    }


def test_the_starter_is_the_default_config_with_a_holdout(write: Write) -> None:
    write(starter())
    config = load_config()
    check(config)
    told, default = config.plain(), Config().plain()
    assert told["data"].pop("holdout_from") == "2023-10-19"
    assert told.pop("strategy") == {"name": "MLThreshold", "buy_threshold": 0.55, "sell_threshold": 0.45}
    assert default.pop("strategy") == {"name": "MLThreshold"}
    assert told == default


def test_every_commented_line_of_the_starter_works_too(write: Write) -> None:
    text = starter()
    uncommented = re.sub(r"^#(?=[\w\[])", "", text, flags=re.MULTILINE)
    assert uncommented != text
    write(uncommented)
    check(load_config())


def test_the_starter_shows_every_key() -> None:
    text = starter()
    for table in sections():
        for key in table.keys:
            assert re.search(rf"^#?{key.name} = |^\[walkforward.{key.name}\]", text, re.MULTILINE), key.name


def test_the_starter_takes_market_and_range() -> None:
    data = tomllib.loads(starter("binance", ["BTC/USDT", "ETH/USDT"], "4h", 0, 1000 * 86_400_000))["data"]
    assert (data["exchange"], data["symbols"], data["timeframe"]) == ("binance", ["BTC/USDT", "ETH/USDT"], "4h")
    assert data["holdout_from"].isoformat() == "1972-03-11"


def test_too_little_data_gets_no_holdout() -> None:
    assert proposed_holdout(0, 10 * 86_400_000) is None
    assert "#holdout_from" in starter("binance", first_ms=0, last_ms=1)
