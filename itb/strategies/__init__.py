"""Strategies: backtrader strategies that turn scores into orders, and the pure rules they decide by."""
