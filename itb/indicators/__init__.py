"""Numbers that look back only: features for models, and the score as an indicator for strategies."""
