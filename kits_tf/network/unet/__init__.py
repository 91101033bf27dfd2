"""The 3-D U-Net: the family of all presets in this package."""
