"""The running bot: assembly of its threads, its clock, and its life from start to stop."""
