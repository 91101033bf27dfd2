"""Training runs: what a step does, over all replicas, from the first epoch to the last, and what is kept of it."""
