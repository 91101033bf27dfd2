"""Invented CT: label maps of bodies in, scans with their masks out, and phantoms for whoever has neither."""
