"""A network for a CPU."""

from kits_tf.config.choices import PRESETS
from kits_tf.network.unet.architecture import UNet

PRESETS.register("small")(UNet(filters=(8, 16, 32, 64), dropout=0.05, source="for a CPU: the demo's"))
