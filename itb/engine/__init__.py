"""backtrader tamed: bulk lines and feed, light orders, a broker with a venue's rules, and stepping that skips idle bars."""
