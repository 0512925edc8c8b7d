"""Pictures and words of a run: the self-contained report and the terminal summary; the only door to plotly."""
