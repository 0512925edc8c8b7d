"""Ways to a venue: the port that the order machine speaks through, and what stands behind it."""
