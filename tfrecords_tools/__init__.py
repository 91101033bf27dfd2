"""TFRecords of tf.train.Example: written, read, shown, verified and packed. Knows nothing of kidneys."""
