"""Pages that open from disk, their templates, and a document on paper."""
