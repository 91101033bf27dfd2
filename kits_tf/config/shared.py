"""Settings that several commands or groups have, and the choices of some."""

from typing import Any

from kits_tf.base.settings import required, setting

# Name of the network that comes with the package, wherever a run is expected.
STARTER = "starter"
# Value of a flag for none, where its default is what a run has.
OFF = "off"
# Folder of masks where none is given.
MASKS_DIR = "masks"
DATA_SET = "Data set: a folder of KiTS cases (case_00000, ...), nnU-Net raw data, a Decathlon task, or a CSV file."


def data_dir() -> Any:
    return required(DATA_SET)


def mask_labels() -> Any:
    return setting(
        "laterality",
        "laterality: right and left kidney, by geometry if the model does not separate them. model: the model's own "
        "labels. challenge: KiTS19's labels, background, kidney, tumor.",
        choices=("model", "challenge", "laterality"),
    )


def overwrite() -> Any:
    return setting(False, "Replaces masks that kits_tf wrote, including masks of other scans or by other models.")


def overwrite_cases() -> Any:
    return setting(False, "Replaces existing cases, whichever program wrote them; without it they are kept.")


def masks_dir() -> Any:
    return setting(
        MASKS_DIR, "Folder to write one mask per scan to; scans that already have a mask by this model are skipped."
    )


def records_dir() -> Any:
    return required("Folder of TFRecord shards and their manifest.json, as convert writes them.")


def run_dir() -> Any:
    return required("Folder of a training run: flags, manifest, versions, weights, history, evaluations.")


def workers() -> Any:
    return setting(
        0, "Processes that read cases, without a GPU; 0: as many as cores and memory allow, 3 GB each.", minimum=0
    )


def part() -> Any:
    return setting(
        "",
        "Part of the work to do. 3/16: the third of 16 parts of about the same size, which run anywhere, in any order, "
        "again or twice. slurm or kubernetes: the part of this task of an array or indexed job. summary: no part; the "
        "results are collected, and what is missing is named. Default: all of it.",
    )


def model() -> Any:
    return setting(
        STARTER,
        "A training run, a folder of its folds, or several, separated by commas, to average; or an exported "
        "model (models/kits or models/kits/1). starter: the network that comes with the package (docs/starter.md).",
        is_path=True,
    )


def seed() -> Any:
    return setting(19, "Seed of every random choice.", minimum=0)


SCHEME_CHOICES = ("laterality", "kits19")
CYST_CHOICES = ("kidney", "background", "class")
FLIP_CHOICES = ("", OFF, "z", "y", "x", "zy", "zx", "yx", "zyx")
KERNEL_CHOICES = ("nearest", "linear", "cubic", "linear_fit", "cubic_fit")


def label_scheme() -> Any:
    return setting(
        "laterality",
        "laterality: background, right kidney, left kidney, tumor. kits19: background, kidney, tumor.",
        choices=SCHEME_CHOICES,
    )


def scheme_of_masks() -> Any:
    return setting(
        None,
        "Scheme of masks that do not name their labels (masks of predict do). kits19: background, kidney, tumor, as in "
        "the challenge. laterality: background, right kidney, left kidney, tumor. Default: kits19; with --run_dir, the "
        "run's scheme.",
        choices=SCHEME_CHOICES,
    )


def cysts_in_masks() -> Any:
    return setting(
        None,
        "Meaning of label 3, the cysts of KiTS21 and KiTS23, in masks that do not name their labels: kidney, "
        "background, or a class of its own. Default: a label 3 is refused; with --run_dir, as in the run.",
        choices=CYST_CHOICES,
    )


def cyst_as() -> Any:
    return setting(
        "kidney",
        "Class of cysts, label 3 of KiTS21 and KiTS23: kidney, as in KiTS19; background; or a class of their own.",
        choices=CYST_CHOICES,
    )


def patch_size() -> Any:
    return setting((128, 128, 128), "Voxels of a training patch.", minimum=1)


def batch_size() -> Any:
    return setting(2, "Patches in a batch, per replica.", minimum=1)


def rematerialize() -> Any:
    return setting(
        False,
        "Computes levels of the network again for gradients rather than keeping them: less memory, a third more work. "
        "Not available with batch norm.",
    )
