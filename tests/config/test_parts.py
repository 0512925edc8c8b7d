from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from itb.config import Config, load_config
from itb.config import parts as config_parts
from itb.config.check import check
from itb.config.parts import SECTIONS, feature_set, keys_model, parameters, registry, strategy_settings
from itb.config.told import outputs, ways
from itb.errors import ConfigError
from itb.live.notify.alert_notifier import Alerts
from itb.live.notify.bands import Band
from itb.live.notify.score_notifier import ScoreBands
from itb.live.notify.telegram import Telegram
from itb.live.notify.ways.plain import Lines
from itb.mlmodels.algorithms import check_can_learn
from itb.mlmodels.judges import TradingResult
from itb.mlmodels.labels import FutureReturn
from itb.mlmodels.promotion import Sane, SkillGate
from itb.mlmodels.stopping import EarlyStopping
from itb.mlmodels.training import Training
from itb.mlmodels.weights import TimeDecay, UniquenessWeights
from itb.strategies.base import Strategy
from itb.strategies.protections import Cooldown, StopLossGuard

Write = Callable[[str], Path]


def complaint(build: Callable[[Config], object], *overrides: str) -> str:
    config = load_config(overrides=overrides)
    with pytest.raises(ConfigError) as caught:
        build(config)
    return str(caught.value)


def test_the_defaults_build_and_fit_each_other(project: Path) -> None:
    config = load_config()
    check(config)
    features, (label,) = feature_set(config), config_parts.labels(config)
    assert len(features.names) > 50
    check_can_learn(config_parts.algorithms(config)[0], label.name, is_binary=label.is_binary)
    assert features.warmup < config.walkforward.train.bars(config.data.timeframe)


def test_keys_become_the_parts_fields(write: Write) -> None:
    write(
        """
        [label]
        horizon = 24
        threshold = 0.01
        direction = "down"
        [model]
        algorithm = "logistic"
        c = 2
        [walkforward.promotion]
        rule = "skill_gate"
        bars = 100
        [synthetic]
        bars = 50
        """
    )
    config = load_config(options={"--symbol": ["ETHUSDT"], "--timeframe": "4h"})
    assert config_parts.labels(config)[0] == FutureReturn(24, 0.01, "down")
    assert config_parts.algorithms(config)[0].name == "logistic"
    assert config_parts.promotion(config) == SkillGate(bars=100)
    market = config_parts.synthetic_market(config)
    assert (market.length, market.symbols, str(market.timeframe)) == (50, ("ETH/USDT",), "4h")


def test_a_promotion_rule_may_be_a_bare_name(write: Write) -> None:
    write('[walkforward]\npromotion = "sane"')
    assert config_parts.promotion(load_config()) == Sane()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[label]\nkind = "futur_return"',
            'itb.toml: label.kind: unknown label "futur_return"; did you mean "future_return"?',
        ),
        ('[label]\nkind = "x"', 'itb.toml: label.kind: unknown label "x"; expected one of '),
        ("[label]\nhorizn = 3\nhorizon = 3", 'itb.toml: label.horizn: unknown key; did you mean "horizon"?'),
        ("[label]\nthreshold = 0.1", "itb.toml: label.horizon: missing; this key has no default"),
        ("[label]\nhorizon = 0", "itb.toml: label.horizon: must be at least 1 bar, was 0"),
        ("[label]\nhorizon = 2.5", "itb.toml: label.horizon: expected a whole number, was 2.5"),
        ('[label]\nhorizon = 2\ndirection = "left"', 'itb.toml: label.direction: expected "up" or "down", was "left"'),
        (
            '[model]\nalgorithm = "lightgmb"',
            'itb.toml: model.algorithm: unknown algorithm "lightgmb"; did you mean "lightgbm"?',
        ),
        ("[model]\nrounds = 0", "itb.toml: model.rounds: must be at least 1, was 0"),
        (
            "[walkforward.promotion]\nrul = 1",
            "itb.toml: walkforward.promotion.rul: unknown key; expected refuse_constant",
        ),
        ("[synthetic]\nbars = 0", "itb.toml: synthetic.bars: must be from 1 to"),
        ("[synthetic]\nbar = 10", 'itb.toml: synthetic.bar: unknown key; did you mean "bars"?'),
        (
            "[strategy]\nbuy_treshold = 0.6",
            'itb.toml: strategy.buy_treshold: unknown key; did you mean "buy_threshold"?',
        ),
        (
            '[strategy]\nname = "MLTreshold"',
            'itb.toml: strategy.name: unknown strategy "MLTreshold"; did you mean "MLThreshold"?',
        ),
        ("[strategy]\nbuy_threshold = 0.1", "itb.toml: strategy.buy_threshold: must be above sell_threshold"),
        (
            '[[features]]\nfamily = "tallib"',
            'itb.toml: features[1].family: unknown family "tallib"; did you mean "talib"?',
        ),
        (
            '[[features]]\nfamily = "time"\n[[features]]\nfamily = "talib"\nfunctions = ["RSI"]\nwindow = [3]',
            'itb.toml: features[2].window: unknown key; did you mean "windows"?',
        ),
        (
            '[[features]]\nfamily = "talib"\nfunctions = "RSI"',
            'itb.toml: features[1].functions: expected a list, was "RSI"',
        ),
        (
            '[[features]]\nfamily = "talib"\nfunctions = [1]',
            "itb.toml: features[1].functions[1]: expected text in quotes, was 1",
        ),
        (
            '[[features]]\nfamily = "time"\n[[features]]\nfamily = "time"',
            "itb.toml: features: two features make the column",
        ),
    ],
)
def test_a_wrong_key_of_a_part_is_one_line_with_its_place(write: Write, text: str, expected: str) -> None:
    write(text)
    message = complaint(check)
    assert message[: len(expected)] == expected
    assert "\n" not in message


def test_all_wrong_parts_are_told_at_once(write: Write) -> None:
    write('[label]\nhorizon = 0\n[model]\nalgorithm = "x"\n[[features]]\nfamily = "x"\n[[features]]\nfamily = "y"')
    places = [line.split(": ")[1] for line in complaint(check).splitlines()]
    assert places == ["features[1].family", "features[2].family", "label.horizon", "model.algorithm"]


def test_an_algorithm_that_cannot_learn_the_label_is_refused(project: Path) -> None:
    assert complaint(check, "label.kind=future_return", "label={horizon=3}").startswith(
        "built-in defaults: model.algorithm: algorithm 'lightgbm' needs a label of 0 and 1"
    )


def test_who_set_a_wrong_key_of_a_part_is_named(project: Path) -> None:
    assert complaint(check, "label.horizon=0").startswith("--set: label.horizon: must be")


def test_a_strategy_without_settings_is_checked_by_its_params(project: Path) -> None:
    import backtrader as bt

    class Own(bt.Strategy):
        params = (("speed", 2),)

    def settings(config: Config) -> dict[str, Any]:
        return strategy_settings(config, Own)

    assert settings(load_config(overrides=["strategy.name=own:Own", "strategy.speed=3"])) == {"speed": 3}
    message = complaint(settings, "strategy.name=own:Own", "strategy.sped=3")
    assert message == '--set: strategy.sped: unknown key; did you mean "speed"?'


def test_settings_of_a_strategy_are_only_those_given(project: Path) -> None:
    chosen = registry("strategy")["MLThreshold"]
    assert strategy_settings(load_config(overrides=["strategy.buy_threshold=1"]), chosen) == {"buy_threshold": 1.0}


@pytest.mark.parametrize("of", SECTIONS)
def test_every_registered_part_has_typed_keys(of: str) -> None:
    for part in registry(of).values():
        assert keys_model(of, part).model_json_schema()["type"] == "object"
        assert all(parameter.annotation is not Any for parameter in parameters(of, part))


def test_training_is_built_from_its_section(write: Write) -> None:
    write(
        """
        [training]
        weights = ["uniqueness", "time_decay"]
        oldest_weight = 0.2
        class_balance = "weights"
        train_rows_max = 5000
        early_stopping = "trading"
        stopping_patience = 10
        [costs]
        taker_fee_bps = 7
        slippage_bps = 3
        """
    )
    stopping = EarlyStopping(TradingResult(fee=0.001), patience=10)
    assert config_parts.training(load_config()) == Training(
        weights=(UniquenessWeights(), TimeDecay(0.2)),
        class_balance="weights",
        train_rows_max=5000,
        early_stopping=stopping,
    )


def test_a_training_that_makes_no_sense_names_its_key(write: Write) -> None:
    write('[training]\nclass_balance = "rows"\nsequential_bootstrap = true')
    with pytest.raises(ConfigError, match=r"training\.sequential_bootstrap: must be false where"):
        check(load_config())


def test_protections_are_built_in_order(write: Write) -> None:
    write(
        """
        [[protections]]
        kind = "stop_loss_guard"
        lookback = "2d"
        trade_limit = 2
        only_per_side = true
        [[protections]]
        kind = "cooldown"
        stop_duration = 5
        """
    )
    guard = StopLossGuard(lookback="2d", trade_limit=2, only_per_side=True)
    assert config_parts.protections(load_config()) == (guard, Cooldown(5))


@pytest.mark.parametrize(
    ("protection", "message"),
    [
        ("{kind='cool_down'}", '--set: protections[1].kind: unknown protection "cool_down"; did you mean "cooldown"?'),
        ("{kind='cooldown', stop_duration='1y'}", "protections[1].stop_duration: must be a length such as"),
        ("{kind='max_drawdown', lookbak=3}", 'protections[1].lookbak: unknown key; did you mean "lookback"?'),
    ],
)
def test_a_protection_that_makes_no_sense_names_its_key(project: Path, protection: str, message: str) -> None:
    assert message in complaint(check, f"protections=[{protection}]")


def test_outputs_are_built_in_order(write: Write) -> None:
    write(
        """
        [[outputs]]
        kind = "score_bands"
        positive_bands = [{ edge = 0.1, sign = "+" }, { edge = 0.3, bold = true }]
        [[outputs]]
        kind = "alerts"
        """
    )
    bands = ScoreBands((Band(0.1, sign="+"), Band(0.3, bold=True)))
    built = outputs(load_config())
    assert [(one.name, one.notifier) for one in built] == [("score_bands-1", bands), ("alerts-2", Alerts())]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("{kind='score'}", 'outputs[1].kind: unknown output "score"'),
        ("{kind='signals', template='{{ oh }}'}", "outputs[1].template: UndefinedError: 'oh' is undefined"),
        ("{kind='score_bands', positive_bands=[{edgy=0.1}]}", "outputs[1].positive_bands[1]"),
    ],
)
def test_an_output_that_makes_no_sense_names_its_key(project: Path, output: str, message: str) -> None:
    assert message in complaint(check, f"outputs=[{output}]")


def test_ways_are_known_by_name_and_outputs_choose_among_them(write: Write) -> None:
    write(
        """
        [[ways]]
        kind = "telegram"
        [[ways]]
        kind = "lines"
        name = "log"
        file = "said.jsonl"
        [[outputs]]
        kind = "alerts"
        [[outputs]]
        kind = "trades"
        name = "money"
        ways = ["log"]
        """
    )
    assert ways(load_config()) == {"telegram": Telegram(), "log": Lines("said.jsonl")}
    assert [(one.name, one.ways) for one in outputs(load_config())] == [
        ("alerts-1", ("telegram", "log")),
        ("money", ("log",)),
    ]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("ways=[{kind='fax'}]", 'ways[1].kind: unknown way "fax"'),
        ("ways=[{kind='console'}, {kind='console'}]", 'ways[2].name: "console" is there twice'),
        ("ways=[{kind='webhook', url='ftp://x'}]", "ways[1].url: must begin with https://"),
        ("outputs=[{kind='alerts', ways=['fax']}]", 'outputs[1].ways: no way is called "fax"; the ways are none'),
        ("outputs=[{kind='alerts', name='a'}, {kind='alerts', name='a'}]", 'outputs[2].name: "a" is there twice'),
    ],
)
def test_a_way_that_makes_no_sense_names_its_key(project: Path, setting: str, message: str) -> None:
    assert message in complaint(check, setting)


@pytest.mark.parametrize("setting", ["telegram.max_age=soon", "notify.zone=Mars", "telegram.owners=me"])
def test_a_setting_of_what_people_are_told_names_its_key(project: Path, setting: str) -> None:
    with pytest.raises(ConfigError, match=setting.partition("=")[0]):
        load_config(overrides=[setting])


def test_protections_are_no_key_of_a_strategy(write: Write, own_params: type) -> None:
    write('[strategy]\nname = "own:Own"\nprotections = "all"')
    with pytest.raises(ConfigError, match=r"strategy\.protections: unknown key"):
        strategy_settings(load_config(), own_params)


@pytest.fixture
def own_params() -> type:
    class Own(Strategy):
        params: Any = (("speed", 1),)

    return Own
