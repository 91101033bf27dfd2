"""python -m kits_tf.convert: CT volumes -> TFRecords and their manifest."""

from pathlib import Path

from kits_tf import commandline, config, runtime
from kits_tf.ct.layouts import find_cases


def main(settings: config.Convert) -> None:
    """Converts every case; a second run goes on where an interrupted one stopped.

    Raises:
        InputError: bad data, or records of other settings are already there. Finished shards stay.
    """
    files = find_cases(settings.data_dir)
    runtime.quiet_tensorflow()
    from kits_tf.pipeline.shards import convert_case, start_manifest

    manifest = start_manifest(settings, files)
    waiting = [case for case in files if case.case_id not in manifest.cases]
    if len(waiting) < len(files):
        print(f"{len(files) - len(waiting)} cases are converted already")
    for case in runtime.progress(waiting, "case", len(waiting)):
        entry = convert_case(case, settings.grid, Path(settings.records_dir))
        manifest.cases[case.case_id] = entry
        manifest.write(settings.records_dir)
        print(f"  {case.case_id}: {entry}")
    manifest.write(settings.records_dir)
    for name, ids in manifest.splits.items():
        empty_test = name == "test" and not ids
        print(f"{name}: {len(ids)} cases" + (f" (none is numbered {settings.splits.test_cases})" if empty_test else ""))
    total = manifest.class_voxels("train")
    print("training voxels: " + ", ".join(f"{n} {c}" for n, c in zip(manifest.scheme.classes, total, strict=True)))
    print(f"wrote {settings.records_dir}")


if __name__ == "__main__":
    commandline.run(config.Convert, main)
