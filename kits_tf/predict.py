"""python -m kits_tf.predict: scans -> masks on their own grids."""

from pathlib import Path
from typing import TYPE_CHECKING

from kits_tf import commandline, config, runtime
from kits_tf.errors import InputError

if TYPE_CHECKING:
    from kits_tf.inference.model import Model


def main(settings: config.Predict, inputs: list[str]) -> None:
    """Segments every input and writes NAME.nii.gz.

    Raises:
        InputError: the model cannot be loaded, two inputs would give the same file, or an input failed.
    """
    from kits_tf.ct.scans import find_scans
    from kits_tf.inference.many import segment_scans

    scans = find_scans(inputs, settings.dicom)
    for part in settings.model.split(","):  # at once: the model is not loaded where every scan has its mask
        if not Path(part).exists():
            raise InputError(f"{part}: expected a run directory or an exported model, found no such folder")
    segment_scans(scans, Path(settings.output_dir), settings.labels, lambda: _load(settings))


def _load(settings: config.Predict) -> "Model":
    runtime.start_tensorflow()
    from kits_tf.inference.segmenter import Extras
    from kits_tf.serving.saved_model import load_model

    extras = Extras(settings.probabilities, settings.uncertainty)
    return load_model(settings.model, settings.inference, extras, runtime.tell_on_terminal("window"))


if __name__ == "__main__":
    commandline.run(config.Predict, main, inputs="SCAN")
