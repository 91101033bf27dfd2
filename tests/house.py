"""The rooms of the house, in their order."""

ROOMS = (
    "base",
    "config",
    "ct",
    "synthesis",
    "pipeline",
    "network",
    "training",
    "inference",
    "analysis",
    "views",
    "serving",
    "webapp",
    "library",
)
