"""One dataclass a command, built of groups."""

from dataclasses import dataclass, field

from kits_tf.config import shared
from kits_tf.config.data import (
    AppearanceSettings,
    GridSettings,
    InputSettings,
    IntensitySettings,
    PatchSettings,
    RecordsSettings,
    SplitSettings,
    WarpSettings,
)
from kits_tf.config.inference import DicomSettings, InferenceSettings, PageSettings, ServerSettings
from kits_tf.config.shared import CYST_CHOICES, SCHEME_CHOICES
from kits_tf.config.training import LossSettings, NetworkSettings, OptimizationSettings, ValidationSettings
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


@dataclass(frozen=True, kw_only=True)
class Train(Settings):
    """Trains a 3-D U-Net on the records; started again on the same folder, it goes on where it stopped."""

    records_dir: str = shared.records_dir()
    run_dir: str = shared.run_dir()
    seed: int = shared.seed()
    fold: int | None = setting(
        None,
        "Validate on this fold of the records and train on the others. Default: the records' own split.",
        minimum=0,
    )
    all_folds: bool = setting(False, "Trains on every fold in turn, in RUN/fold0, RUN/fold1, ...")
    deterministic: bool = setting(
        False, "The same run again is equal to the last bit, on the same machine: in --patch_order=fixed, and slower."
    )
    checkpoint_minutes: float = setting(
        10.0, "Longest time between two checkpoints, of which there is one after each epoch too.", above=0
    )
    profile_steps: int = setting(
        0, "Steps to record with TensorFlow's profiler, after the first two; TensorBoard shows them.", minimum=0
    )
    records: RecordsSettings = field(default_factory=RecordsSettings)
    patches: PatchSettings = field(default_factory=PatchSettings)
    input: InputSettings = field(default_factory=InputSettings)
    intensity: IntensitySettings = field(default_factory=IntensitySettings)
    warp: WarpSettings = field(default_factory=WarpSettings)
    appearance: AppearanceSettings = field(default_factory=AppearanceSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    objective: LossSettings = field(default_factory=LossSettings)
    optimization: OptimizationSettings = field(default_factory=OptimizationSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.all_folds and self.fold is not None:
            raise InputError(f"--all_folds: expected no --fold with it, got --fold={self.fold}")


@dataclass(frozen=True, kw_only=True)
class Evaluate(Settings):
    """Scores a run on the original grid, or masks from any program; or compares two evaluations."""

    run_dir: str | None = setting(None, "Folder of a training run to score; or give --predictions_dir.")
    split: str = setting("validation", "Which cases of the run to score.", choices=("validation", "test"))
    predictions_dir: str | None = setting(None, "Folder of masks case_00000.nii.gz, ... to score, of any program.")
    data_dir: str | None = setting(
        None, "Folder of the scans and true masks. Default with --run_dir: where convert found them."
    )
    truth_dir: str | None = setting(
        None,
        "Folder of true masks with the names of those in --predictions_dir, instead of --data_dir. Labels that they do "
        "not name are the challenge's.",
    )
    compare: str = setting(
        "", "Two evaluations, with a comma between: folders with a cases.csv. Tells how the second one differs."
    )
    label_scheme: str | None = shared.scheme_of_masks()
    cyst_as: str | None = shared.cysts_in_masks()
    workers: int = shared.workers()
    inference: InferenceSettings = field(default_factory=InferenceSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if sum(map(bool, (self.run_dir, self.predictions_dir, self.compare))) != 1:
            raise InputError("expected one of --run_dir, --predictions_dir and --compare")
        if self.predictions_dir and (self.data_dir is None) == (self.truth_dir is None):
            raise InputError("expected either --data_dir or --truth_dir with --predictions_dir")
        if self.truth_dir and not self.predictions_dir:
            raise InputError("expected --truth_dir with --predictions_dir only")
        if self.inference.postprocess == "auto" and not self.run_dir:
            raise InputError("expected --run_dir with --postprocess=auto")
        if self.compare and self.compare.count(",") != 1:
            raise InputError(f"--compare: expected two folders with a comma between, got {self.compare}")


@dataclass(frozen=True, kw_only=True)
class Predict(Settings):
    """Segments scans: NIfTI files, KiTS19 case folders, DICOM folders and zips, or patterns like 'scans/*.nii.gz'."""

    model: str = required(
        "A training run, a folder of its folds, or several with commas between, which are averaged; or an exported "
        "model (models/kits or models/kits/1)."
    )
    output_dir: str = required("Folder to write one mask a scan to; scans whose mask is there are left out.")
    labels: str = shared.mask_labels()
    probabilities: bool = setting(
        False, "Also writes NAME_probabilities.nii.gz, (i, j, k, class) of all classes but background."
    )
    uncertainty: bool = setting(
        False, "Also writes NAME_uncertainty.nii.gz: how far models and mirror images disagree, from 0 to 1."
    )
    dicom: DicomSettings = field(default_factory=DicomSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)


@dataclass(frozen=True, kw_only=True)
class Measure(Settings):
    """Measures kidneys and lesions: NIfTI masks, KiTS19 case folders, folders of these, or patterns."""

    image: str | None = setting(
        None, "Scan that a single mask belongs to, or folder of scans with the masks' names: for HU, and for sides."
    )
    output_dir: str | None = setting(None, "Folder to write kidneys, pairs and lesions to, as CSV and JSON.")
    label_scheme: str = setting(
        "laterality", "Scheme of masks that do not name their labels, as those of predict do.", choices=SCHEME_CHOICES
    )
    cyst_as: str = setting("kidney", "What cysts are in masks that do not name their labels.", choices=CYST_CHOICES)


@dataclass(frozen=True, kw_only=True)
class Submission(Settings):
    """Makes KiTS19's predictions.zip of a folder of masks, or checks one."""

    predictions_dir: str | None = setting(None, "Folder of masks case_00210.nii.gz, ... to pack; with --output.")
    output: str | None = setting(None, "Zip file to write, with prediction_00210.nii.gz, ...")
    check: str | None = setting(None, "Zip file to check; with --data_dir.")
    data_dir: str | None = setting(None, "Folder of the scans: every one without a true mask, else every one, is due.")
    label_scheme: str = setting(
        "laterality", "Scheme of masks that do not name their labels, as those of predict do.", choices=SCHEME_CHOICES
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.predictions_dir is None) == (self.check is None):
            raise InputError("expected either --predictions_dir or --check")
        if (self.predictions_dir is None) != (self.output is None):
            raise InputError("expected --output with --predictions_dir, and not without")
        if self.check is not None and self.data_dir is None:
            raise InputError("expected --data_dir with --check")


@dataclass(frozen=True, kw_only=True)
class Export(Settings):
    """Exports a run as a SavedModel that takes scans as stored, for TensorFlow Serving."""

    run_dir: str = required("Folder of a training run, of folds, or several with commas between, which are averaged.")
    export_dir: str = required("Folder of the model's versions; the next free number is written.")
    serving_precision: str = setting(
        "float32",
        "What the network computes in. float32 for CPUs; mixed_bfloat16 or mixed_float16 for GPUs, slow on a CPU.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    calibrate: bool = setting(
        True,
        "Fits the temperature of the probabilities on the validation cases of the run's records, once over each. "
        "--nocalibrate: the one that the run has, or none. Averages of runs have none.",
    )
    inference: InferenceSettings = field(default_factory=InferenceSettings)


@dataclass(frozen=True, kw_only=True)
class Client(Settings):
    """Segments scans on a server: NIfTI files, KiTS19 case folders, DICOM folders and zips, or patterns of these."""

    output_dir: str = required("Folder to write one mask a scan to; scans whose mask is there are left out.")
    labels: str = shared.mask_labels()
    connection: ServerSettings = field(default_factory=ServerSettings)
    dicom: DicomSettings = field(default_factory=DicomSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.connection.server:
            raise InputError("--server: expected HOST:PORT, got none")


# Names under which nobody else can reach it.
THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, kw_only=True)
class App(Settings):
    """Offers a page: a scan dropped on it is segmented, shown with its mask, corrected and measured, in any browser."""

    model: str = setting("", "What segments: a run or an exported model, as predict takes it. This or --server.")
    host: str = setting("127.0.0.1", "Address to listen on; any but this machine's own wants --page_token_file.")
    page_port: int = setting(8080, "Port of the page; 0 for any that is free.", minimum=0, maximum=65535)
    page_token_file: str = setting("", "File with a token that who opens the page must give.")
    tls_cert: str = setting("", "PEM file of the page's certificate; with --tls_key.")
    tls_key: str = setting("", "PEM file of its key.")
    page: PageSettings = field(default_factory=PageSettings)
    connection: ServerSettings = field(default_factory=ServerSettings)
    dicom: DicomSettings = field(default_factory=DicomSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.model) == bool(self.connection.server):
            raise InputError("expected --model or --server, got " + ("both" if self.model else "none"))
        if bool(self.tls_cert) != bool(self.tls_key):
            raise InputError("expected --tls_cert and --tls_key, got one of them")
        if self.host not in THIS_MACHINE and not self.page_token_file:
            raise InputError(f"--host={self.host}: expected --page_token_file with it, as others can reach the page")


@dataclass(frozen=True, kw_only=True)
class Serve(Settings):
    """Serves exported models over gRPC and REST as TensorFlow Serving does, for development and small sites."""

    export_dir: str = required(
        "Folder of the model's versions; new ones are loaded as they come, the newest is served."
    )
    model_name: str = setting("", "What clients call the model. Default: the folder's name.")
    host: str = setting("127.0.0.1", "Address to listen on; 0.0.0.0 for all, which --token_file should then guard.")
    grpc_port: int = setting(8500, "Port of gRPC; 0 for any that is free.", minimum=0, maximum=65535)
    rest_port: int = setting(
        8501, "Port of REST, health and metrics; 0 for any that is free.", minimum=0, maximum=65535
    )
    queue: int = setting(8, "Requests that may wait while one is computed; more are refused.", minimum=0)
    max_message_mb: int = setting(600, "Largest request over gRPC: 2 bytes a voxel.", minimum=1, maximum=2047)
    max_rest_mb: int = setting(64, "Largest request over REST, where a voxel has several letters.", minimum=1)
    receive_s: float = setting(120.0, "Longest time that a client may take to send its request.", above=0)
    poll_s: float = setting(5.0, "How often the folder is looked at for new versions.", above=0)
    grace_s: float = setting(30.0, "How long requests may still run after the server was told to stop.", minimum=0)
    token_file: str = setting("", "File with a token that clients must send.")
    page: bool = setting(False, "Offers the page of kits_tf.app too, at / on the port of REST.")
    tls_cert: str = setting("", "PEM file of the server's certificate; with --tls_key.")
    tls_key: str = setting("", "PEM file of its key.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.tls_cert) != bool(self.tls_key):
            raise InputError("expected --tls_cert and --tls_key, got one of them")


@dataclass(frozen=True, kw_only=True)
class Figures(Settings):
    """Draws predicted against true masks over the scan, one PNG a case; or one patch as training would see it.

    Cases without a true mask are drawn with the prediction alone.
    """

    data_dir: str = shared.data_dir()
    output_dir: str = required("Folder to write case_00000.png, ... or case_00000_augmentations.png to.")
    predictions_dir: str | None = setting(None, "Folder of masks case_00000.nii.gz, ...; or give --augmentations.")
    montage: bool = setting(False, "Draws case_00000_montage.png too: 20 axial planes.")
    gif: bool = setting(False, "Draws case_00000.gif too: up to 60 axial planes, one after the other.")
    augmentations: bool = setting(
        False, "Draws one patch around a labeled voxel under 16 augmentations; or give --predictions_dir."
    )
    case: int | None = setting(
        None, "Number of the case to augment. Default: the first one that has a mask.", minimum=0
    )
    seed: int = shared.seed()
    grid: GridSettings = field(default_factory=GridSettings)
    patches: PatchSettings = field(default_factory=PatchSettings)
    intensity: IntensitySettings = field(default_factory=IntensitySettings)
    warp: WarpSettings = field(default_factory=WarpSettings)
    appearance: AppearanceSettings = field(default_factory=AppearanceSettings)
    workers: int = shared.workers()

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.predictions_dir is None) == (not self.augmentations):
            raise InputError("expected either --predictions_dir or --augmentations")
        if self.case is not None and not self.augmentations:
            raise InputError("--case: expected --augmentations with it")
        if self.augmentations and (self.montage or self.gif):
            raise InputError("expected --predictions_dir with --montage and --gif")


@dataclass(frozen=True, kw_only=True)
class Report(Settings):
    """Writes an evaluation as one page, report.html, that opens from disk: scores, figures, charts, a 3-D viewer.

    The cases must have been scored before, by evaluate.
    """

    run_dir: str | None = setting(None, "Folder of a training run; or give --predictions_dir.")
    split: str = setting("validation", "Which cases of the run.", choices=("validation", "test"))
    predictions_dir: str | None = setting(None, "Folder of masks of any program, with --data_dir.")
    data_dir: str | None = setting(
        None, "Folder of the scans and true masks. Default with --run_dir: where convert found them."
    )
    compare: str | None = setting(
        None, "A second run, or with --predictions_dir a second folder of masks, to show beside the first."
    )
    output: str | None = setting(None, "File to write. Default: report.html beside the scores.")
    data_note: str = setting("", "What the scans are, if they are not what they seem: stands at the head of the page.")
    viewer: bool = setting(
        True, "Puts the NiiVue viewer and the scans, thinned, into the page; --noviewer leaves both out."
    )
    label_scheme: str | None = shared.scheme_of_masks()
    cyst_as: str | None = shared.cysts_in_masks()
    workers: int = shared.workers()

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.run_dir is None) == (self.predictions_dir is None):
            raise InputError("expected either --run_dir or --predictions_dir")
        if self.predictions_dir and not self.data_dir:
            raise InputError("expected --data_dir with --predictions_dir")
        if self.compare and self.compare == (self.run_dir or self.predictions_dir):
            raise InputError(f"--compare: expected another folder than {self.compare}")


@dataclass(frozen=True, kw_only=True)
class Demo(Settings):
    """Runs the whole line on phantoms: data, records, training, scores, export, masks, figures."""

    output_dir: str = setting("demo", "Folder for all that the demo writes; a previous demo in it is replaced.")
    num_cases: int = setting(14, "Phantoms to make.", minimum=4, maximum=210)
    phantom_spacing_zyx_mm: tuple[float, float, float] = setting((4.0, 2.0, 2.0), "Voxel size in mm.", above=0)
    seed: int = shared.seed()
    grid: GridSettings = field(default_factory=GridSettings)
    splits: SplitSettings = field(default_factory=SplitSettings)
    patches: PatchSettings = field(default_factory=PatchSettings)
    input: InputSettings = field(default_factory=InputSettings)
    intensity: IntensitySettings = field(default_factory=IntensitySettings)
    warp: WarpSettings = field(default_factory=WarpSettings)
    appearance: AppearanceSettings = field(default_factory=AppearanceSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    objective: LossSettings = field(default_factory=LossSettings)
    optimization: OptimizationSettings = field(default_factory=OptimizationSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)


COMMANDS: tuple[type[Settings], ...] = (
    Phantom,
    Audit,
    Convert,
    Restore,
    Summary,
    Train,
    Evaluate,
    Predict,
    Measure,
    Submission,
    Export,
    Serve,
    Client,
    App,
    Figures,
    Report,
    Demo,
)
