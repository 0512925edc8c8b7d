"""Backtests: assemble Cerebro, run it, and give back everything that happened."""
