"""Networks by name: each choice of --preset is a module of its name, which registers an architecture."""
