"""A model on a server, as a library. Without TensorFlow."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.base.packages import require
from kits_tf.config import ConnectionSettings
from kits_tf.ct.labels import check_labels
from kits_tf.ct.volume import Volume
from kits_tf.inference.identity import identity
from kits_tf.inference.model import Model, Segmentation
from kits_tf.serving.metadata import METADATA, Metadata, export_digest


class Client:
    """Segments scans on a server, over gRPC.

        with Client("localhost:8500") as client:
            result = client.segment(kits_tf.read_scan("scan.nii.gz"))

    The server's metadata is read first. Post-processing that is not part of the model's graph is done in this process.

    Args:
        server: HOST:PORT, or the settings of a connection.
        accept_intensities: whether scans are sent whose voxels cannot be Hounsfield units, see `Model`.
        **options: fields of `ConnectionSettings`, as in `model_version=3`.

    Attributes:
        metadata: `Metadata` of the model: names of its labels, grid, versions.
        model: `Model` that asks the server.

    Raises:
        InputError: the extra `client` is not installed, a setting is impossible, or a file that it names cannot be
            read.
        UnavailableError: the server cannot be reached, or has no such model.
    """

    def __init__(self, server: str | ConnectionSettings, *, accept_intensities: bool = False, **options: Any) -> None:
        if isinstance(server, str):
            self.settings = ConnectionSettings(server=server, **options)
        else:
            self.settings = replace(server, **options)
        self._server = self.settings.server
        if not self._server:
            raise InputError("server: expected HOST:PORT, got none")
        require("client", "grpc")
        from kits_tf.serving.connection import Connection

        self._connection = Connection(self.settings)
        try:
            json = self._connection.predict(METADATA, {})["json"].item()
            self.metadata = Metadata.parse(json, self._server)
        except BaseException:
            self.close()
            raise
        chain = self.metadata.postprocessing.chain
        version = self._connection.version
        # A server gives no weights: if the metadata does not know them, the version stands for them.
        digest = (
            export_digest(json, self._server) or sha256(f"{version} {self.metadata.to_json()}".encode()).hexdigest()
        )
        self.model = Model(
            self._segment_stored,
            self.metadata.scheme,
            chain,
            accept_intensities,
            identity(f"{self.settings.model_name}/{version}", [digest]),
            self.metadata.notices,
        )

    def segment(self, volume: Volume) -> Segmentation:
        """Returns the segmentation of a scan, after post-processing.

        Raises:
            InputError: the voxels cannot be Hounsfield units, the server refuses the scan, or does not finish in time.
            UnavailableError: the server cannot be reached any more.
        """
        return self.model.segmentation(volume)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _segment_stored(self, hu: NDArray[np.int16], affine: NDArray[np.float32]) -> Segmentation:
        outputs = self._connection.predict(self.metadata.unchecked, {"hu": hu, "affine": affine})
        labels = outputs.get("labels")
        is_whole = {"labels", "volumes_ml", "confidence"} <= set(outputs)
        if labels is None or not is_whole or labels.dtype != np.uint8 or labels.shape != hu.shape:
            got = {name: (array.dtype.name, array.shape) for name, array in outputs.items()}
            raise InputError(f"{self._server}: expected labels uint8 {hu.shape}, volumes_ml and confidence, got {got}")
        check_labels(labels, len(self.metadata.classes), self._server)
        return Segmentation.from_arrays(outputs)
