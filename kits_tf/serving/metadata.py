"""The description of an exported model, which its signature `metadata` gives as JSON. Without TensorFlow."""

import hashlib
import json
from dataclasses import asdict, dataclass

from cattrs import BaseValidationError, Converter, transform_error

from kits_tf.base.errors import InputError
from kits_tf.config import GridSettings, InferenceSettings, IntensitySettings
from kits_tf.ct.geometry import Triple
from kits_tf.ct.labels import Scheme, scheme_of
from kits_tf.inference.postprocess import Postprocessing, parse_postprocess

FORMAT_VERSION = 1
# The folder of a version for what lies beside the graph, and the metadata there, the same bytes as the signature gives.
ASSETS_FOLDER = "assets.extra"
METADATA_NAME = "metadata.json"
# Names of the signatures.
VOLUME = "serving_default"
UNCHECKED = "unchecked"
PROBABILITIES = "probabilities"
METADATA = "metadata"
SIGNATURES = (VOLUME, UNCHECKED, PROBABILITIES, METADATA)
# Fields that it does not know, as those of a newer model, are ignored.
_JSON = Converter()


@dataclass(frozen=True, kw_only=True)
class CoarseStage:
    """The first stage of a cascade, which finds the box that the network looks at.

    Attributes:
        grid: grid of its records.
        patch_size_zyx: voxels of a window.
        margin_mm: margin around the kidneys that it labels.
    """

    grid: GridSettings
    patch_size_zyx: Triple
    margin_mm: float


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """The description of an exported model.

    Attributes:
        classes: names of the labels 0, 1, ...
        grid: grid of the records, with the scheme of the labels.
        patch_size_zyx: voxels of a window.
        intensity: window and normalization in HU, one for each network.
        inference: windows and their merging, and the steps of post-processing, of which the graph does crf only.
        temperature: number by which logits are divided for probabilities.
        precision: precision that the network computes in.
        versions: versions of the packages that wrote the export.
        manifest_sha256: SHA-256 of each network's manifest.json in assets.extra.
        coarse: the first stage, if the graph is a cascade.
        signatures: names of its signatures; exports of before UNCHECKED came, which check no intensities, do not say.
        model: identity of the runs that were exported, which clients have of a server's weights.
        notices: sentences that every mask of the model is to say.
        format_version: version of these fields.
    """

    classes: tuple[str, ...]
    grid: GridSettings
    patch_size_zyx: Triple
    intensity: tuple[IntensitySettings, ...]
    inference: InferenceSettings
    temperature: float
    precision: str
    versions: dict[str, str]
    manifest_sha256: tuple[str, ...]
    coarse: CoarseStage | None = None
    signatures: tuple[str, ...] = (VOLUME, PROBABILITIES, METADATA)
    model: str = ""
    notices: tuple[str, ...] = ()
    format_version: int = FORMAT_VERSION

    @property
    def unchecked(self) -> str:
        """The signature that takes any intensities, for those who have checked them."""
        return UNCHECKED if UNCHECKED in self.signatures else VOLUME

    @property
    def scheme(self) -> Scheme:
        """The scheme of the labels."""
        return scheme_of(self.grid)

    @property
    def postprocessing(self) -> Postprocessing:
        """What is done to logits and masks."""
        return parse_postprocess(self.inference.postprocess)

    def to_json(self) -> str:
        """Returns the text that `parse` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str | bytes, source: str) -> "Metadata":
        """Returns the metadata that `to_json` wrote.

        Args:
            text: JSON.
            source: folder or server that it came from, for errors.

        Raises:
            InputError: it is no JSON, lacks a field, or has another format version.
        """
        try:
            content = json.loads(text)
            if content.get("format_version") != FORMAT_VERSION:
                got = content.get("format_version")
                raise InputError(f"{source}: expected a model of format version {FORMAT_VERSION}, got {got}")
            return _JSON.structure(content, cls)
        except BaseValidationError as error:
            raise InputError(f"{source}: expected a model of kits_tf: {'; '.join(transform_error(error))}") from None
        except (ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{source}: expected a model of kits_tf, its metadata is not JSON: {error}") from None


def export_digest(text: str | bytes, source: str) -> str:
    """Returns the digest of an export, the same in its folder and on a server.

    Args:
        text: JSON of its metadata, as it was written.
        source: folder or server that it came from, for errors.

    Returns:
        Digest of the JSON, which has the digest of the exported weights; "" if it does not have it.

    Raises:
        InputError: it is no JSON, lacks a field, or has another format version.
    """
    content = text.encode() if isinstance(text, str) else text
    return hashlib.sha256(content).hexdigest() if Metadata.parse(text, source).model else ""
