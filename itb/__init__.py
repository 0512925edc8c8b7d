"""itb: machine-learned trading strategies on backtrader, the same code in backtest, search and live."""

__version__ = "0.1.0"
