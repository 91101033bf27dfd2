"""The training grids and the kernels to them that the round trips compare."""

from kits_tf.config.shared import KERNEL_CHOICES

# Of the recipe of record (MLPerf's), of KiTS19's winner, and a coarse one for CPUs; mm (z, y, x).
GRIDS = {"1.6,1.2,1.2": (1.6, 1.2, 1.2), "3.22,1.62,1.62": (3.22, 1.62, 1.62), "4,4,4": (4.0, 4.0, 4.0)}
DOWN_KERNELS = KERNEL_CHOICES
