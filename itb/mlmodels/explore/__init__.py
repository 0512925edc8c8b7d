"""Statistics for looking at features, labels and scores; every one of them on plain arrays."""
