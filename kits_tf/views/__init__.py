"""What a person looks at: figures, pages, and tables for the terminal."""
