"""Trading for real or on paper: one order machine, one journal, gateways to venues."""
