"""Settings that commands which read masks have."""

from dataclasses import dataclass

from kits_tf.base.settings import Settings
from kits_tf.config import shared


@dataclass(frozen=True, kw_only=True)
class MaskSchemeSettings(Settings):
    """Labels of masks that do not name them"""

    label_scheme: str | None = shared.scheme_of_masks()
    cyst_as: str | None = shared.cysts_in_masks()
