"""What training minimizes: a module for each choice of --loss, of its name, that registers a function making it.

Losses are functions of labels (batch, z, y, x), integers, and logits (batch, z, y, x, classes). Everything is summed in
float32, whatever the logits' type. Modules whose names begin with "_" are shared and no choice.
"""
