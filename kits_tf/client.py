"""python -m kits_tf.client: scans -> masks on their own grids, by a model on a server."""

from dataclasses import dataclass, field
from pathlib import Path

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.packages import require
from kits_tf.base.settings import Settings
from kits_tf.config import ConnectionSettings, DicomSettings, ScanSettings, shared


@dataclass(frozen=True, kw_only=True)
class Client(Settings):
    """Segments scans on a server: NIfTI files, KiTS19 case folders, DICOM folders and zips, or patterns of these."""

    output_dir: str = shared.masks_dir()
    labels: str = shared.mask_labels()
    overwrite: bool = shared.overwrite()
    connection: ConnectionSettings = field(default_factory=ConnectionSettings)
    scans: ScanSettings = field(default_factory=ScanSettings)
    dicom: DicomSettings = field(default_factory=DicomSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.connection.server:
            raise InputError("--server: expected HOST:PORT, got none")


def main(settings: Client, inputs: list[str]) -> None:
    """Segments every input and writes NAME.nii.gz.

    Raises:
        InputError: the extra `client` is not installed, two inputs would give the same file, or an input failed.
        UnavailableError: the server cannot be reached.
    """
    require("client", "grpc")
    from kits_tf.ct.scans import collect_scans
    from kits_tf.inference.batch_prediction import segment_scans
    from kits_tf.inference.mask_output import MaskOutput
    from kits_tf.serving import remote_model

    scans = collect_scans(inputs, settings.dicom)
    accept = settings.scans.accept_intensities
    with remote_model.Client(settings.connection, accept_intensities=accept) as client:
        output = MaskOutput(
            folder=Path(settings.output_dir),
            model=client.model.identity,
            labels=settings.labels,
            overwrite=settings.overwrite,
        )
        for prediction in segment_scans(scans, output, lambda: client.model):
            print(prediction, flush=True)


COMMAND = Command(name="client", settings=Client, main=main, inputs="SCAN")

if __name__ == "__main__":
    COMMAND.run()
