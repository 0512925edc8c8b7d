"""backtrader tamed: bulk feed, light orders, a broker with a venue's rules, stepping that skips idle bars."""
