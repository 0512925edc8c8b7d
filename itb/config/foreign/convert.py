"""A whole config of intelligent-trading-bot as our tables, and the list of what has no counterpart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from itb.config.foreign.features import feature_sets
from itb.config.foreign.labels import label_sets, labels_by_name
from itb.config.foreign.models import Models, models
from itb.config.foreign.signals import date_of, signal_model, signal_sets, simulation
from itb.config.foreign.source import Loss, Source
from itb.config.model import Config
from itb.config.toml import to_toml
from itb.market.instrument import canonical_symbol

_UNITS = {"min": "m", "t": "m", "m": "m", "h": "h", "d": "d", "w": "w"}

_REASONS = {
    "label_horizon": "training rows are purged by what each label says it needs",
    "features_horizon": "each feature says how many bars it needs",
    "predict_length": "each feature says how many bars it needs",
    "append_overlap_records": "a download goes on at the last bar that is stored",
    "download_max_rows": "see data.from",
    "train": "training and predicting are commands of their own",
    "data_folder": "bars are kept by `itb data import` and `itb data download`: see data.root",
    "model_folder": "model files lie in the folder of the runs: see runs.root",
    "merge_interpolate": "gaps are never interpolated, which looks ahead: see data.gaps",
    "train_features": "a model reads every feature of [[features]]",
    "output_sets": "outputs come with live trading",
    "trade_model": "see strategy.fraction, strategy.entry and [live]",
    "trader": "see strategy.fraction, strategy.entry and [live]",
    "collector": "no order book is collected",
    "model_registry": "models are named by what they learn",
    "time_column": "times are found by their column names",
    "client_args": "see docs: the exchange is named in data.exchange",
}
_FILES = re.compile(r".*_file_name$|.*_file$")


@dataclass(frozen=True)
class Converted:
    """Our tables, and what of the foreign config has no counterpart in them."""

    tables: dict[str, Any]
    losses: tuple[Loss, ...]

    def toml(self, name: str) -> str:
        """Write both as a config file: what has no counterpart stands at the end, as comments."""
        head = [f"# From {_one_line(name)}, by `itb import-config`. [costs] are itb defaults: it had none."]
        lost = [f"# {_one_line(loss.line)}" for loss in self.losses]
        tail = ["", "# What has no counterpart:", *lost] if lost else []
        return "\n".join([*head, "", to_toml(self.tables).rstrip("\n"), *tail]) + "\n"


def convert(values: Mapping[str, Any]) -> Converted:
    """Translate a config; every number of it is in the tables or among the losses.

    >>> made = convert({"symbol": "BTCUSDT", "freq": "1h", "label_horizon": 24})
    >>> made.tables["data"], [loss.line.split("  ")[0] for loss in made.losses]
    ({'symbols': ['BTC/USDT'], 'timeframe': '1h'}, ['label_horizon = 24'])
    """
    config = Source(values)
    data = _data(config)
    sources = _sources(config)
    features = feature_sets(config, {table["prefix"]: table["name"] for table in sources})
    learned = models(config)
    wanted = _wanted(config, learned)
    labels = label_sets(config, wanted)
    names = [_name_of(label) for label in labels]
    labels += labels_by_name(config, wanted, names)
    _restrict(learned, labels, config)
    signals = signal_sets(config)
    signals += signal_model(config, [model["name"] for model in learned.tables])
    simulate = simulation(config, signals)
    tables: dict[str, Any] = {
        "data": data,
        "walkforward": _walkforward(config, learned, data),
        "training": _training(config, learned),
        "strategy": _strategy(signals),
        "simulate": simulate,
        "sources": sources,
        "features": features,
        "labels": labels,
        "models": learned.tables,
        "signals": signals,
    }
    for key in list(_REASONS):
        config.lose(key, _REASONS[key])
    for key in [key for key in values if _FILES.fullmatch(key)]:
        config.lose(key, "files are named by the commands: see --out")
    return Converted({name: table for name, table in tables.items() if table}, tuple(config.losses()))


def _one_line(text: str) -> str:
    """Escape what would end a comment."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def _data(config: Source) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if (venue := config.text("venue")) == "binance":
        found["exchange"] = venue
    elif venue is not None:
        config.note("venue", venue, "see `itb data import` for bars from elsewhere")
    symbol, base, quote = config.text("symbol"), config.text("base_asset"), config.text("quote_asset")
    given = f"{base}/{quote}" if base and quote else symbol
    if given is not None:
        try:
            found["symbols"] = [canonical_symbol(given)]
        except ValueError:
            config.note("symbol", given, "no BASE/QUOTE symbol")
    for key in ("freq", "pandas_freq"):
        if (text := config.text(key)) is None:
            continue
        if (frame := _timeframe(text)) is None:
            config.note(key, text, 'bars are "1m" to "1w" long')
        else:
            found["timeframe"] = frame
    return found


def _timeframe(freq: str) -> str | None:
    """Translate pandas' name of a frequency.

    >>> [_timeframe(text) for text in ("1min", "1h", "H", "5T", "1D", "1MS")]
    ['1m', '1h', '1h', '5m', '1d', None]
    """
    found = re.fullmatch(r"(\d*)([A-Za-z]+)", freq.strip())
    unit = _UNITS.get(found[2].lower()) if found else None
    return f"{int(found[1] or 1)}{unit}" if found and unit and found[2] != "M" else None


def _sources(config: Source) -> list[dict[str, Any]]:
    """Translate the data sources that have a prefix; the one without is the market that is traded."""
    made: list[dict[str, Any]] = []
    for number, entry in enumerate(config.tables("data_sources")):
        prefix, folder, file = entry.text("column_prefix"), entry.text("folder"), entry.text("file")
        told = {key: text for key, text in (("folder", folder), ("file", file)) if text is not None}
        if prefix and file and "sources" in Config.model_fields:
            place = f"{folder}/{file}" if folder else file
            place = place if "." in file else f"{place}.csv"
            made.append({"name": prefix, "prefix": prefix, "kind": "bars", "file": place})
        elif told:
            why = "its bars come by `itb data import`" if number == 0 or not prefix else "write [[sources]] for it"
            entry.note("file", {**told, **({"column_prefix": prefix} if prefix else {})}, why)
    return made


def _wanted(config: Source, learned: Models) -> list[str]:
    """Give the labels that are learned, from wherever the config names them."""
    named = [*config.texts("labels"), *config.texts("class_labels")]
    named += [name for model in learned.tables for name in model.get("labels", [])]
    return list(dict.fromkeys(named))


def _restrict(learned: Models, labels: Sequence[dict[str, Any]], config: Source) -> None:
    """Let a model learn only labels that there are; a list that names them all says nothing."""
    known = [_name_of(label) for label in labels]
    for model in learned.tables:
        asked = model.pop("labels", [])
        absent = [name for name in asked if name not in known]
        if absent:
            config.note("labels", absent, "no generator of this config makes them")
        found = [name for name in asked if name in known]
        if found and set(found) != set(known):
            model["labels"] = found


def _name_of(label: Mapping[str, Any]) -> str:
    if "alias" in label:
        return str(label["alias"])
    if label["kind"] == "highlow":
        return f"{label['function']}_{round(10 * label['threshold_pct']):02d}"
    return ""


def _strategy(signals: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rules = [signal for signal in signals if str(signal["kind"]).startswith("threshold_rule")]
    if not rules or len(rules[-1]["names"]) != 2:
        return {}
    buy, sell = rules[-1]["names"]
    return {"name": "SignalStrategy", "buy_column": buy, "sell_column": sell}


def _walkforward(config: Source, learned: Models, data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    length = config.count("train_length")
    if length:
        found |= {"mode": "sliding", "train": length}
    elif length == 0:
        config.note("train_length", 0, 'all rows: mode = "expanding" begins with walkforward.train')
        found["mode"] = "expanding"
    rolling = config.table("rolling_predict")
    for theirs, ours in (("data_start", "from"), ("data_end", "to")):
        if (moment := date_of(rolling, theirs)) is not None:
            data[ours] = moment
    if (size := rolling.count("prediction_size")) is not None:
        if size:
            found["refit_every"] = size
        else:
            rolling.note("prediction_size", size, "see walkforward.refit_every")
    if (workers := rolling.count("max_workers")) is not None:
        found["workers"] = workers
    rolling.lose("prediction_start", "scores begin as soon as there is enough to learn from")
    rolling.lose("prediction_steps", "there are as many steps as the bars allow")
    rolling.lose("use_multiprocessing", "see walkforward.workers")
    if (
        step := _common(config, learned, "every_nth_row", learned.every_nth_rows, "walkforward.every_nth_row")
    ) is not None:
        found["every_nth_row"] = step
    return found


def _training(config: Source, learned: Models) -> dict[str, Any]:
    """Translate how many of the newest rows each model learns from; rows are thinned out first, there as here."""
    rows = _common(config, learned, "length", learned.lengths, "training.train_rows_max")
    return {} if rows is None else {"train_rows_max": rows}


def _common(config: Source, learned: Models, key: str, numbers: Sequence[int], ours: str) -> int | None:
    """Give the number that every model asks for; what only some ask for, or differently, is listed."""
    if numbers and len(set(numbers)) == 1 and len(numbers) == len(learned.tables):
        return numbers[0]
    if numbers:
        config.note(key, list(numbers), f"one for all models: see {ours}")
    return None
