"""The network of KiTS19's winner."""

from kits_tf.config.choices import PRESETS
from kits_tf.network.unet.architecture import UNet

PRESETS.register("winner")(
    UNet(
        filters=(24, 48, 96, 192, 320, 320),
        blocks=(1, 2, 3, 4, 4, 4),
        decoder_convolutions=(1,),
        strides_z=(2, 2, 2, 2, 1),
        residual=True,
        norm="instance",
        activation="leaky_relu",
        downsampling="stride",
        deep_supervision=True,
        dropout=0.0,
        source="KiTS19's winner, for patches of 80, 160, 160 voxels of 3.22, 1.62, 1.62 mm; Isensee and Maier-Hein "
        "2019, arXiv 1908.02182; blocks and filters as in nnU-Net 1's generic_modular_residual_UNet.py",
    )
)
