"""nnU-Net's residual encoder M."""

from kits_tf.config.choices import PRESETS
from kits_tf.network.unet.architecture import UNet

PRESETS.register("resenc_m")(
    UNet(
        filters=(32, 64, 128, 256, 320, 320),
        blocks=(1, 3, 4, 6, 6, 6),
        decoder_convolutions=(1,),
        residual=True,
        norm="instance",
        activation="leaky_relu",
        downsampling="stride",
        deep_supervision=True,
        dropout=0.0,
        source="nnU-Net's residual encoder M for 128^3 patches; Isensee et al. 2024, MICCAI",
    )
)
