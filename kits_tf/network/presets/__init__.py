"""Networks that have a name: a module for each choice of --preset, of its name, that registers an architecture."""
