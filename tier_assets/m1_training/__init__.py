"""Training: what a stage draws from L2, in which mixture, and what the run reports back."""
