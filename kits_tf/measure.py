"""python -m kits_tf.measure: masks -> volumes, sizes and shapes of kidneys and lesions."""

from pathlib import Path

from kits_tf import commandline, config, runtime
from kits_tf.errors import InputError


def main(settings: config.Measure, inputs: list[str]) -> None:
    """Measures every mask, prints a table, and with --output_dir writes it.

    Raises:
        InputError: a mask or its scan cannot be used, or the scans do not belong to the masks.
    """
    from kits_tf.analysis.masks import read_to_measure
    from kits_tf.analysis.measurements import Measurements, write
    from kits_tf.analysis.measuring import measure
    from kits_tf.ct.labels import find_scheme
    from kits_tf.ct.scans import find_masks, find_scans
    from kits_tf.views.measurements_table import measurements_table

    masks = find_masks(inputs)
    scans = {scan.name: scan for scan in find_scans([settings.image], config.DicomSettings())} if settings.image else {}
    if len(masks) == len(scans) == 1:  # whatever their names
        scans = {masks[0][0]: next(iter(scans.values()))}
    if scans and (missing := [name for name, _ in masks if name not in scans]):
        raise InputError(f"{settings.image}: expected a scan named {missing[0]}, found none")
    fallback = find_scheme(settings.label_scheme, settings.cyst_as)
    found: dict[str, Measurements] = {}
    for name, path in runtime.progress(masks, "mask", len(masks)):
        image = scans[name].read().volume if scans else None
        mask, scheme = read_to_measure(path, fallback, image)
        found[name] = measure(mask.array, scheme, mask.grid.spacing_mm, None if image is None else image.array)
    print(measurements_table(found))
    if settings.output_dir:
        write(found, Path(settings.output_dir))
        print(f"wrote {settings.output_dir}")


if __name__ == "__main__":
    commandline.run(config.Measure, main, inputs="MASK")
