"""What a server needs: the SavedModel."""
