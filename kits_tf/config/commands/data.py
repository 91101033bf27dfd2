"""Commands of data: from phantoms to records, and back."""

from dataclasses import dataclass, field

from kits_tf.config import shared
from kits_tf.config.data import GridSettings, SplitSettings
from kits_tf.config.training import NetworkSettings
from kits_tf.errors import InputError
from kits_tf.settings import Settings, required, setting


@dataclass(frozen=True, kw_only=True)
class Phantom(Settings):
    """Writes a small data set of simulated CT in KiTS19's layout."""

    output_dir: str = required("Folder to write case_00000, case_00001, ... to.")
    num_cases: int = setting(14, "Cases to write.", minimum=1, maximum=210)
    phantom_spacing_zyx_mm: tuple[float, float, float] = setting(
        (4.0, 2.0, 2.0), "Voxel size in mm; KiTS19's median is about 3,0.8,0.8.", above=0
    )
    seed: int = shared.seed()


@dataclass(frozen=True, kw_only=True)
class Audit(Settings):
    """Looks for what is wrong or odd about a data set: a table, audit.json, and audit.html with pictures."""

    data_dir: str = shared.data_dir()
    output_dir: str = setting("audit", "Folder to write audit.json and audit.html to.")
    workers: int = shared.workers()


@dataclass(frozen=True, kw_only=True)
class Convert(Settings):
    """Converts CT volumes and their masks into TFRecords on the training grid."""

    data_dir: str = shared.data_dir()
    records_dir: str = shared.records_dir()
    seed: int = shared.seed()
    grid: GridSettings = field(default_factory=GridSettings)
    splits: SplitSettings = field(default_factory=SplitSettings)
    workers: int = shared.workers()
    runner: str = setting(
        "processes",
        "Where cases are converted: in processes of their own, here, one by one, or by an Apache Beam pipeline.",
        choices=("processes", "here", "beam"),
    )
    beam_options: str = setting(
        "", "Options of the Beam pipeline, as in '--runner=FlinkRunner --flink_master=HOST:8081'."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beam_options and self.runner != "beam":
            raise InputError(f"--beam_options: expected --runner=beam with it, got --runner={self.runner}")


@dataclass(frozen=True, kw_only=True)
class Restore(Settings):
    """Turns records back into NIfTI on the scans' own grids, in KiTS19's layout."""

    output_dir: str = required("Folder to write case_00000/imaging.nii.gz and segmentation.nii.gz, ... to.")
    restored_labels: str = setting(
        "challenge",
        "challenge: 0 background, 1 kidney, 2 tumor, 3 cyst, so that convert can read them; record: as they are.",
        choices=("challenge", "record"),
    )


@dataclass(frozen=True, kw_only=True)
class Summary(Settings):
    """Tells what a network is made of and what it costs, before anything is trained."""

    patch_size_zyx: tuple[int, int, int] = shared.patch_size()
    batch_size: int = shared.batch_size()
    rematerialize: bool = shared.rematerialize()
    label_scheme: str = shared.label_scheme()
    cyst_as: str = shared.cyst_as()
    graph_png: str = setting("", "PNG to draw the network into. Empty: none.")
    network: NetworkSettings = field(default_factory=NetworkSettings)
