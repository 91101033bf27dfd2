"""A model on a server, as a library. Without TensorFlow where whole volumes are sent."""

from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kits_tf.base.errors import InputError
from kits_tf.config import ConnectionSettings
from kits_tf.ct.labels import check_labels
from kits_tf.ct.volume import Volume
from kits_tf.inference.model import Model, Segmentation
from kits_tf.serving.client.connection import Connection
from kits_tf.serving.metadata import METADATA, VOLUME, Metadata


class Client:
    """Segments scans on a server.

        with Client("localhost:8500") as client:
            segmentation = client.segment(kits_tf.read_scan("scan.nii.gz"))

    The server's metadata is read first. Post-processing that no graph does is done here.

    Args:
        server: HOST:PORT.
        tell: is told of the windows that are done, where patches are sent.
        **settings: as `ConnectionSettings` has them.

    Raises:
        InputError: a setting is impossible, or a file that it names cannot be read.
        UnavailableError: the server cannot be reached, or has no such model.
    """

    def __init__(self, server: str, tell: Callable[[int, int], None] | None = None, **settings: Any) -> None:
        self.settings = ConnectionSettings(server=server, **settings)
        if not server:
            raise InputError("server: expected HOST:PORT, got none")
        self._connection = connect(self.settings)
        try:
            found = self._connection.predict(METADATA, {})
            self.metadata = Metadata.parse(found["json"].item(), server)
            if self.settings.mode == "patches":
                if self.metadata.coarse:
                    raise InputError(f"{server}: expected --mode=volume, as its model is a cascade, got patches")
                from kits_tf.serving.client.patches import segment_by_patches

                segment = segment_by_patches(self._connection, self.metadata, self.settings.concurrency, tell)
            else:
                segment = self._segment_volume
        except BaseException:
            self.close()
            raise
        self.model = Model(segment, self.metadata.scheme, self.metadata.postprocessing.chain)

    def segment(self, volume: Volume) -> Segmentation:
        """Returns the segmentation of a scan, after post-processing.

        Raises:
            InputError: the server refuses the scan, or does not finish in time.
            UnavailableError: the server cannot be reached any more.
        """
        return self.model.segmentation(volume)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _segment_volume(self, hu: NDArray[np.int16], affine: NDArray[np.float32]) -> Segmentation:
        found = self._connection.predict(VOLUME, {"hu": hu, "affine": affine})
        labels, classes = found.get("labels"), len(self.metadata.classes)
        is_whole = {"labels", "volumes_ml", "confidence"} <= set(found)
        if labels is None or not is_whole or labels.dtype != np.uint8 or labels.shape != hu.shape:
            got = {name: (array.dtype.name, array.shape) for name, array in found.items()}
            raise InputError(
                f"{self.settings.server}: expected labels uint8 {hu.shape}, volumes_ml and confidence, got {got}"
            )
        check_labels(labels, classes, self.settings.server)
        return Segmentation.from_arrays(found)


def connect(settings: ConnectionSettings) -> Connection:
    """Returns a connection by the protocol of the settings."""
    if settings.protocol == "rest":
        from kits_tf.serving.client.rest_connection import RestConnection

        return RestConnection(settings)
    from kits_tf.serving.client.grpc_connection import GrpcConnection

    return GrpcConnection(settings)
