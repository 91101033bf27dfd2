"""A model that gives masks: of this process, or on a server. Without TensorFlow."""

from dataclasses import dataclass, replace
from typing import Any

from kits_tf.base.words import shortened, warnings_text
from kits_tf.config import ConnectionSettings
from kits_tf.ct.labels import Scheme
from kits_tf.ct.volume import Volume
from kits_tf.inference import model as inference
from kits_tf.inference.identity import with_labels
from kits_tf.library.mask import Mask
from kits_tf.library.options import parameters_named, settings_from
from kits_tf.serving.remote_model import Client


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Model:
    """A model that segments scans. `load_model` and `connect` make one.

    Attributes:
        network: `inference.model.Model`, the network with its post-processing.
        connection: connection to a server, which `close` closes; None for a model of this process.
    """

    network: inference.Model
    connection: Client | None = None

    @property
    def scheme(self) -> Scheme:
        """The network's own labels; masks have right and left kidney, whether the network tells them apart or not."""
        return self.network.scheme

    @property
    def identity(self) -> str:
        """The name, the digest and the settings of the model, which its masks keep; "" if they are not known."""
        return self.network.identity

    @property
    def warnings(self) -> tuple[str, ...]:
        """What every mask of the model warns of, as that it was trained on phantoms."""
        return self.network.notices

    def segment(self, scan: Volume) -> Mask:
        """Returns the mask of a scan, on the scan's own grid.

        Raises:
            IntensityError: the voxels cannot be Hounsfield units.
            InputError: the scan is one that the model refuses, or the server does not finish in time.
            UnavailableError: the server cannot be reached any more.
        """
        result = self.network.segmentation(scan)
        labels = Volume.from_stored(result.labels, scan.stored.affine).array
        return replace(
            Mask.from_labels(labels, self.scheme, scan),
            model=with_labels(self.identity, "laterality"),
            warnings=result.warnings,
            confidence=dict(zip(self.scheme.classes, result.confidence.tolist(), strict=True)),
        )

    def close(self) -> None:
        """Closes the connection to a server; the end of a `with` does so too."""
        if self.connection is not None:
            self.connection.close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        name = shortened(self.identity, 100)
        return f"Model({name}: {', '.join(self.scheme.classes)}{warnings_text(self.warnings)})"


def connect(server: str, *, accept_intensities: bool = False, **options: Any) -> Model:
    """Returns the model on a server, over gRPC: TensorFlow Serving, or the command serve.

        with kits_tf.connect("localhost:8500") as model:
            mask = model.segment(kits_tf.read_scan("scan.nii.gz"))

    Args:
        server: HOST:PORT of the server.
        accept_intensities: whether scans are sent whose voxels cannot be Hounsfield units; their masks have a warning.
        **options: fields of `ConnectionSettings`, as in `model_version=3`.

    Raises:
        InputError: the extra `client` is not installed, there is no such setting, one is impossible, or a file that it
            names cannot be read.
        UnavailableError: the server cannot be reached, or has no such model.
    """
    with parameters_named():
        settings = settings_from(ConnectionSettings, {"server": server, **options})
        client = Client(settings, accept_intensities=accept_intensities)
    return Model(network=client.model, connection=client)
