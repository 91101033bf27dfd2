"""What an exported model says of itself, for whoever is about to use it. Without TensorFlow."""

import json
from dataclasses import asdict, dataclass

from cattrs import BaseValidationError, Converter, transform_error

from kits_tf.base.errors import InputError
from kits_tf.config import GridSettings, InferenceSettings, IntensitySettings
from kits_tf.ct.labels import Scheme, find_scheme
from kits_tf.inference.postprocess import Postprocessing, parse_postprocess

FORMAT_VERSION = 1
# Names of the signatures.
VOLUME, PATCHES, METADATA = "serving_default", "probabilities", "metadata"
# A newer model may say more.
_JSON = Converter()


@dataclass(frozen=True, kw_only=True)
class CoarseStage:
    """The first stage of a cascade, which finds the box that the network looks at.

    Attributes:
        grid: of its records.
        patch_size_zyx: voxels of a window.
        margin_mm: around what it finds.
    """

    grid: GridSettings
    patch_size_zyx: tuple[int, int, int]
    margin_mm: float


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What the signature `metadata` gives as JSON.

    Attributes:
        classes: names of the labels 0, 1, ...
        grid: of the records, with the scheme of the labels.
        patch_size_zyx: voxels of a window.
        intensity: window and normalization in HU, of each network.
        inference: how windows lie and are merged, and the steps of post-processing, of which the graph does crf only.
        temperature: by which logits are divided for probabilities.
        precision: that the network computes in.
        versions: of what wrote it.
        manifest_sha256: of each network's manifest.json, as it lies in assets.extra.
        coarse: the first stage, where the graph is a cascade.
        format_version: of these fields.
    """

    classes: tuple[str, ...]
    grid: GridSettings
    patch_size_zyx: tuple[int, int, int]
    intensity: tuple[IntensitySettings, ...]
    inference: InferenceSettings
    temperature: float
    precision: str
    versions: dict[str, str]
    manifest_sha256: tuple[str, ...]
    coarse: CoarseStage | None = None
    format_version: int = FORMAT_VERSION

    @property
    def scheme(self) -> Scheme:
        """The scheme of the labels."""
        return find_scheme(self.grid.label_scheme, self.grid.cyst_as)

    @property
    def postprocessing(self) -> Postprocessing:
        """What is done to logits and masks."""
        return parse_postprocess(self.inference.postprocess)

    def to_json(self) -> str:
        """Returns the text that `parse` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str | bytes, source: str) -> "Metadata":
        """Returns the metadata of a text.

        Args:
            text: JSON.
            source: for errors: a folder or a server.

        Raises:
            InputError: it is no JSON, lacks a field, or has another format version.
        """
        try:
            content = json.loads(text)
            if content.get("format_version") != FORMAT_VERSION:
                found = content.get("format_version")
                raise InputError(f"{source}: expected a model of format version {FORMAT_VERSION}, found {found}")
            return _JSON.structure(content, cls)
        except BaseValidationError as error:
            raise InputError(f"{source}: expected a model of kits_tf: {'; '.join(transform_error(error))}") from None
        except (ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{source}: expected a model of kits_tf, its metadata is no JSON: {error}") from None
