"""MLPerf training's network for KiTS19."""

from kits_tf.config.choices import PRESETS
from kits_tf.network.unet.architecture import UNet

PRESETS.register("mlperf")(
    UNet(
        filters=(32, 64, 128, 256, 320, 320),
        norm="instance",
        downsampling="stride",
        dropout=0.0,
        source="MLPerf training, image_segmentation/pytorch/model/unet3d.py, for KiTS19",
    )
)
