"""What a bot's markets allow is said before anything is learned, asked or sent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from itb.config import load_config
from itb.errors import ConfigError
from itb.live.gateways.port import NoAnswerError
from itb.market.instrument import Instrument
from itb.runs import live_perpetuals
from itb.runs.live import Launch, live
from itb.runs.live_perpetuals import check_markets, terms_of
from itb.runs.practice import Rehearsal, build_exchange
from itb.runs.workspace import Workspace

PERP, SPOT = "BTC/USDT:USDT", "BTC/USDT"
LAUNCHES = [Launch(is_paper=True), Launch(is_paper=False), Launch(is_paper=False, rehearsal=Rehearsal())]


def workspace(folder: Path, symbols: str, *settings: str) -> Workspace:
    quoted = ", ".join(f'"{symbol}"' for symbol in symbols.split())
    fixed = ["data.exchange=binance", f"data.symbols=[{quoted}]", f"runs.root={folder / 'runs'}"]
    return Workspace(load_config(None, [*fixed, *settings]))


@pytest.mark.parametrize("launch", LAUNCHES, ids=["paper", "account", "practice"])
def test_a_short_on_spot_is_refused_in_one_line(tmp_path: Path, launch: Launch) -> None:
    place = workspace(tmp_path, SPOT, "strategy.allow_short=true", "live.cash=100")
    with pytest.raises(ConfigError) as told:
        check_markets(place, launch)
    assert str(told.value) == (
        f"--set: strategy.allow_short: true, but {SPOT} is spot, where only what is held can be sold; leave it out, or "
        f"trade a perpetual such as {PERP}"
    )


def test_a_bot_is_refused_before_it_makes_its_folder_or_asks_anybody(tmp_path: Path) -> None:
    place = workspace(tmp_path, SPOT, "strategy.allow_short=true")
    with pytest.raises(ConfigError, match="is spot"):
        live(place, Launch(is_paper=True), lambda _line: None)
    assert not (tmp_path / "runs" / "live").exists()


def test_one_of_several_strategies_or_a_shadow_that_goes_short_is_found(tmp_path: Path) -> None:
    place = workspace(tmp_path, SPOT)
    for table in ("strategies", "shadows"):
        config = place.config
        part = {"called": "bear", "allow_short": True}
        section = type(config.live).model_validate({**config.live.model_dump(), table: [part]})
        changed = Workspace(config.changed(live=section))
        with pytest.raises(ConfigError, match=rf"live\.{table}.*allow_short: true, but {SPOT} is spot"):
            check_markets(changed, LAUNCHES[0])


def test_perpetuals_may_go_short_and_have_accounts_of_their_own(tmp_path: Path) -> None:
    check_markets(workspace(tmp_path, PERP, "strategy.allow_short=true"), LAUNCHES[0])
    check_markets(workspace(tmp_path, SPOT), LAUNCHES[1])
    refused = {f"{PERP} {SPOT}": "two accounts", f"{PERP} BTC/USDC:USDC": "two perpetuals of one coin"}
    for symbols, why in refused.items():
        with pytest.raises(ConfigError, match=why):
            check_markets(workspace(tmp_path, symbols), LAUNCHES[0])
    for refuse in (lambda place: check_markets(place, LAUNCHES[2]), lambda place: build_exchange(place, Rehearsal())):
        with pytest.raises(ConfigError, match=f"the practice exchange trades spot, {PERP} is a perpetual"):
            refuse(workspace(tmp_path, PERP))


@pytest.mark.parametrize("failures", [2, 99])
def test_one_request_that_fails_does_not_end_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    class Ailing:
        asked = 0

        async def instrument(self, symbol: str) -> Instrument:
            self.asked += 1
            if self.asked <= failures:
                raise NoAnswerError("HTTP 502")
            return Instrument(symbol)

    monkeypatch.setattr(live_perpetuals, "_PAUSES_S", (0.0, 0.0, 0.0))
    remote: Any = Ailing()
    asking = terms_of(remote, workspace(tmp_path, SPOT).config, LAUNCHES[1], tmp_path)
    if failures == 2:
        assert asyncio.run(asking) == {SPOT: Instrument(SPOT)}
        return
    with pytest.raises(NoAnswerError, match="502"):
        asyncio.run(asking)
    assert remote.asked == 4
