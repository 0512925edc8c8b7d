"""Networks that read the raw bars of many coins at once and score each of them; torch is imported nowhere else."""
