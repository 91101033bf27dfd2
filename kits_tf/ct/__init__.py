"""What a scan is: where its voxels are, what they hold, and how it lies on disk."""
