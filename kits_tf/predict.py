"""python -m kits_tf.predict: scans -> masks on their own grids."""

from pathlib import Path

from kits_tf import commandline, config, runtime
from kits_tf.ct.layouts import IMAGE_NAME
from kits_tf.ct.volume import read_image, strip_suffix, write_labels
from kits_tf.errors import InputError


def main(settings: config.Predict, inputs: list[str]) -> None:
    """Segments every input and writes NAME.nii.gz; an input that cannot be read does not stop the others.

    Raises:
        InputError: the model cannot be loaded, two inputs would give the same file, or an input failed.
    """
    scans = name_scans(inputs)
    runtime.start_tensorflow()
    from kits_tf.inference.segmenter import segment_volume
    from kits_tf.serving.saved_model import load_segment

    segment = load_segment(settings.model, settings.inference)
    failures = []
    for name, path in runtime.progress(scans.items(), "scan", len(scans)):
        try:
            image = read_image(path)
            labels, volumes_ml = segment_volume(segment, image)
        except InputError as error:
            failures.append(str(error))
            print(f"  {error}")
            continue
        output = Path(settings.output_dir) / f"{name}.nii.gz"
        write_labels(output, labels, like=image)
        print(f"  {path} -> {output}: " + ", ".join(f"label {i} {ml:.0f} mL" for i, ml in enumerate(volumes_ml) if i))
    if failures:
        raise InputError(f"{len(failures)} of {len(scans)} scans failed, the first: {failures[0]}")


def name_scans(inputs: list[str]) -> dict[str, Path]:
    """Returns the scan of each input by the name of its mask: a file's own name, or that of a KiTS19 case folder.

    Raises:
        InputError: an input is missing or nothing known, or two have the same name.
    """
    scans: dict[str, Path] = {}
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            name, path = path.resolve().name, path / IMAGE_NAME
        else:
            name = strip_suffix(path)
            name = path.resolve().parent.name if path.name == IMAGE_NAME else name
        if not path.is_file():
            raise InputError(f"{path}: expected a scan, found no such file")
        if name in scans:
            raise InputError(f"{path}: expected different names, {scans[name]} would be written to the same file")
        scans[name] = path
    return scans


if __name__ == "__main__":
    commandline.run(config.Predict, main, inputs="SCAN")
