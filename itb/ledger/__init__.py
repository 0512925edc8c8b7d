"""Money: fills become trades, equity and figures; every look at a figure is kept."""
