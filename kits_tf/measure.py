"""python -m kits_tf.measure: masks -> volumes, sizes and shapes of kidneys and lesions."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.failures import Failures
from kits_tf.base.progress import track
from kits_tf.base.settings import Settings, setting
from kits_tf.config import DicomSettings, MaskSchemeSettings


@dataclass(frozen=True, kw_only=True)
class Measure(Settings):
    """Measures kidneys and lesions: NIfTI masks, KiTS19 case folders, folders of these, or patterns."""

    image: str | None = setting(
        None,
        "Scan of a single mask, or folder of scans with the masks' names; used for HU and for sides.",
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
    if len(paths) == len(scans) == 1:  # whatever their names
        scans = {paths[0][0]: next(iter(scans.values()))}
    if scans and (missing := [name for name, _ in paths if name not in scans]):
        raise InputError(f"{settings.image}: expected a scan named {missing[0]}, found none")
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
            image = scans[name].read().volume if scans else None
            volume, scheme = read_to_measure(mask, image)
            hu = None if image is None else image.array
            measured = measure(volume.array, scheme, volume.grid.spacing_mm, hu)
            measurements[name] = replace(measured, labels=mask.scheme.classes, warnings=mask.warnings)
        except InputError as error:
            failures.note(str(mask.path), error)
    if measurements:
        print(label_note(masks[name] for name in measurements))
        print(measurements_table(measurements))
        if settings.output_dir:
            write_measurements(measurements, Path(settings.output_dir))
            print(f"wrote {settings.output_dir}")
    failures.check()


COMMAND = Command(name="measure", settings=Measure, main=main, inputs="MASK")

if __name__ == "__main__":
    COMMAND.run()
