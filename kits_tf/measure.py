"""python -m kits_tf.measure: masks -> volumes, sizes and shapes of kidneys and lesions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.failures import Failures
from kits_tf.base.progress import track
from kits_tf.base.settings import Settings, setting
from kits_tf.config import DicomSettings, MaskSchemeSettings

if TYPE_CHECKING:
    from kits_tf.analysis.mask_files import MaskFile
    from kits_tf.ct.scans import Scan
    from kits_tf.ct.volume import Volume


@dataclass(frozen=True, kw_only=True)
class Measure(Settings):
    """Measures kidneys and lesions: NIfTI masks, KiTS19 case folders, folders of these, or patterns."""

    image: str | None = setting(
        None,
        "Scan of all masks, or folder of scans with the masks' names. It gives HU, and decides sides.",
        is_path=True,
    )
    output_dir: str | None = setting(None, "Folder to write kidneys, pairs and lesions to, as CSV and JSON.")
    masks: MaskSchemeSettings = field(default_factory=MaskSchemeSettings)


def main(settings: Measure, inputs: list[str]) -> None:
    """Measures every mask, prints a table, and with --output_dir writes it.

    Raises:
        InputError: the scans do not belong to the masks, nothing can be written, or a mask or its scan cannot be used;
            the others are measured all the same.
    """
    from kits_tf.analysis.mask_files import MaskFile, check_flags, label_note, open_mask
    from kits_tf.analysis.masks import read_to_measure
    from kits_tf.analysis.measurements import Measurements, require_own_tables, write_measurements
    from kits_tf.analysis.morphometry import measure
    from kits_tf.ct.scans import find_masks, find_scans
    from kits_tf.views.terminal.measurements_table import measurements_table

    if settings.output_dir:
        require_own_tables(Path(settings.output_dir))
    paths = find_masks(inputs)
    scans = {scan.name: scan for scan in find_scans([settings.image], DicomSettings())} if settings.image else {}
    names = {name for name, _ in paths}
    if len(scans) == 1 and names.isdisjoint(scans):  # the scan of every mask, whatever their names
        scans = dict.fromkeys(names, next(iter(scans.values())))
    measurements: dict[str, Measurements] = {}
    masks: dict[str, MaskFile] = {}
    failures = Failures("mask", len(paths))
    for name, path in paths:
        try:
            masks[name] = open_mask(path, settings.masks)
        except InputError as error:
            failures.note(str(path), error)
    check_flags(masks.values(), settings.masks)
    for name, mask in track(masks.items(), "mask", len(masks)):
        try:
            image = _scan_of(mask, name, scans, settings.image) if settings.image else None
            volume, scheme = read_to_measure(mask, image)
            hu = None if image is None else image.array
            measured = measure(volume.array, scheme, volume.grid.spacing_mm, hu)
            measurements[name] = replace(
                measured, labels=mask.scheme.classes, warnings=mask.warnings, is_corrected=mask.is_corrected
            )
        except InputError as error:
            failures.note(str(mask.path), error)
    if measurements:
        print(label_note(masks[name] for name in measurements))
        print(measurements_table(measurements))
        if settings.output_dir:
            write_measurements(measurements, Path(settings.output_dir))
            print(f"wrote {settings.output_dir}")
    failures.check()


def _scan_of(mask: "MaskFile", name: str, scans: "Mapping[str, Scan]", given: str) -> "Volume":
    """Returns the scan of a mask, of scans by the masks' names."""
    if name not in scans:
        raise InputError(f"{given}: expected a scan named {name}, found none")
    scan = scans[name].read().volume
    mask.check_made_from(scan, scans[name].source)
    return scan


COMMAND = Command(name="measure", settings=Measure, main=main, inputs="MASK")

if __name__ == "__main__":
    COMMAND.run()
