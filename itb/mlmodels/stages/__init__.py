"""What happens to out-of-sample scores after the walk-forward, stage by stage."""
