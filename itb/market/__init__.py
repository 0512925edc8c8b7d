"""The vocabulary: timeframe, instrument, bars, fills."""
