"""What learns: architectures and presets, losses and metrics, and what they cost."""
