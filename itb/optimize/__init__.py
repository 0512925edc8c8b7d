"""Search: sweep many settings quickly, confirm the best in backtrader, and say what the result is worth."""
