"""A run in pictures and words: reports, terminal summaries, still pictures; the only door to plotly and matplotlib."""
