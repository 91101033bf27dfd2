"""What a mask says: its scores."""
