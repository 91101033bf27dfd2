"""The network of the recipe of record."""

from kits_tf.config.choices import PRESETS
from kits_tf.network.unet.architecture import UNet

PRESETS.register("record")(
    UNet(
        filters=(32, 64, 128, 256, 320),
        source="batch norm, dropout, skip connections: the recipe of record; Çiçek et al. 2016, MICCAI, and MLPerf's "
        "filters",
    )
)
