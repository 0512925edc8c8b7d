"""Models: labels, purged walk-forward training, model files, timelines, grades."""
