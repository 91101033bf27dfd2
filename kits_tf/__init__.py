"""kits_tf: kidneys and kidney tumors in CT, from NIfTI to a served mask, in TensorFlow."""

__version__ = "0.1.0"
