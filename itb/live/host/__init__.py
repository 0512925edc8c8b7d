"""backtrader live: the feed, the loop and the guard around a strategy."""
