"""A small search on the built-in market, for the tests of what a search does and says."""

from itb.config import load_config
from itb.runs.workspace import Workspace

SETTINGS = [
    "synthetic.bars=3000",
    "walkforward.train=40d",
    "walkforward.refit_every=20d",
    "walkforward.workers=1",
    "model.rounds=10",
]
SPACE = [
    "search.space.strategy.buy_threshold={low=0.5, high=0.56}",
    "search.space.strategy.sell_threshold={low=0.44, high=0.49}",
    "search.space.model.num_leaves=[4, 8]",
    "search.windows=6",
    "search.trade_sides=4",
    "search.confirm=3",
    "search.permuted_labels=0",
]


def workspace(folder, *settings):
    given = [f"runs.root={folder / 'runs'}", *SETTINGS, *SPACE, *settings]
    return Workspace(load_config(overrides=given, environ={}))
