"""python -m kits_tf.measure: masks -> volumes, sizes and shapes of kidneys and lesions."""

from dataclasses import dataclass
from pathlib import Path

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.progress import track
from kits_tf.base.settings import Settings, setting
from kits_tf.config import DicomSettings, shared


@dataclass(frozen=True, kw_only=True)
class Measure(Settings):
    """Measures kidneys and lesions: NIfTI masks, KiTS19 case folders, folders of these, or patterns."""

    image: str | None = setting(
        None,
        "Scan that a single mask belongs to, or folder of scans with the masks' names: for HU, and for sides.",
        is_path=True,
    )
    output_dir: str | None = setting(None, "Folder to write kidneys, pairs and lesions to, as CSV and JSON.")
    label_scheme: str = shared.fallback_scheme()
    cyst_as: str = setting(
        "kidney", "Class of cysts in masks that do not name their labels.", choices=shared.CYST_CHOICES
    )


def main(settings: Measure, inputs: list[str]) -> None:
    """Measures every mask, prints a table, and with --output_dir writes it.

    Raises:
        InputError: a mask or its scan cannot be used, or the scans do not belong to the masks.
    """
    from kits_tf.analysis.masks import read_to_measure
    from kits_tf.analysis.measurements import Measurements, write_measurements
    from kits_tf.analysis.morphometry import measure
    from kits_tf.ct.labels import scheme_of
    from kits_tf.ct.scans import find_masks, find_scans
    from kits_tf.views.terminal.measurements_table import measurements_table

    masks = find_masks(inputs)
    scans = {scan.name: scan for scan in find_scans([settings.image], DicomSettings())} if settings.image else {}
    if len(masks) == len(scans) == 1:  # whatever their names
        scans = {masks[0][0]: next(iter(scans.values()))}
    if scans and (missing := [name for name, _ in masks if name not in scans]):
        raise InputError(f"{settings.image}: expected a scan named {missing[0]}, found none")
    fallback = scheme_of(settings)
    measurements: dict[str, Measurements] = {}
    for name, path in track(masks, "mask", len(masks)):
        image = scans[name].read().volume if scans else None
        mask, scheme = read_to_measure(path, fallback, image)
        hu = None if image is None else image.array
        measurements[name] = measure(mask.array, scheme, mask.grid.spacing_mm, hu)
    print(measurements_table(measurements))
    if settings.output_dir:
        write_measurements(measurements, Path(settings.output_dir))
        print(f"wrote {settings.output_dir}")


COMMAND = Command(name="measure", settings=Measure, main=main, inputs="MASK")

if __name__ == "__main__":
    COMMAND.run()
