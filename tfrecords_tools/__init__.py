"""TFRecords of tf.train.Example: a spec that writes and reads them. Knows nothing of kidneys."""
