"""python -m kits_tf.figures: predicted against true masks, one PNG a case."""

import importlib.util
from pathlib import Path

from kits_tf import commandline, config, runtime
from kits_tf.errors import InputError


def main(settings: config.Figures) -> None:
    """Draws every mask of the folder beside the truth.

    Raises:
        InputError: matplotlib is not installed, or data or masks cannot be used.
    """
    require_matplotlib()
    runtime.start_tensorflow()
    from kits_tf.analysis import evaluation
    from kits_tf.ct.labels import find_scheme
    from kits_tf.views.case_figure import draw_case

    scheme, masks_dir = find_scheme(settings.label_scheme, settings.cyst_as), Path(settings.predictions_dir)
    cases = evaluation.predicted_cases(masks_dir, settings.data_dir)
    for files in runtime.progress(cases, "figure", len(cases)):
        image, truth = evaluation.read_truth(files, scheme)
        predicted = evaluation.read_prediction(masks_dir, files.case_id, image, scheme)
        path = Path(settings.output_dir) / f"{files.case_id}.png"
        draw_case(path, files.case_id, image.array, truth, predicted, scheme, image.grid.spacing_mm)
    print(f"wrote {settings.output_dir}")


def require_matplotlib() -> None:
    """Raises InputError if matplotlib, which only figures need, is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("figures need matplotlib: pip install 'kits_tf[figures]'")


if __name__ == "__main__":
    commandline.run(config.Figures, main)
