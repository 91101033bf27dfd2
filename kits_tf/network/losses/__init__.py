"""What training minimizes: each choice of --loss is a module of its name, which registers a function that makes it.

Losses are functions of labels (batch, z, y, x), integers, and logits (batch, z, y, x, classes). Everything is summed in
float32, whatever the logits' type. Modules whose names begin with "_" hold what several losses share.
"""
