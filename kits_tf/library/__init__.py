"""What `import kits_tf` gives beyond the other rooms: a model, its mask, and what can be asked of a mask."""
