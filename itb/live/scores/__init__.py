"""Scores live: the numbers that the batch gives, asked bar by bar, and checked against what was said before."""
