"""What learns: the U-Net, its loss and its metrics, and what they cost."""
