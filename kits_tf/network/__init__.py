"""What learns: the U-Net, its loss, its metrics, its trainer and the run it leaves."""
