"""What flags choose by name, open to plugins: --loss and --preset."""

from typing import Any

from kits_tf.base.registry import Registry

# Functions (LossSettings, class weights) -> keras.losses.Loss.
LOSSES: Registry[Any] = Registry("--loss", "kits_tf.network.losses")
# Instances of network.architecture.Architecture.
PRESETS: Registry[Any] = Registry("--preset", "kits_tf.network.presets")
