"""What a mask says: its scores, kidneys and lesions in a clinic's units, and how sure a network may be of it."""
