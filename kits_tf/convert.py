"""python -m kits_tf.convert: CT volumes -> TFRecords and their manifest."""

from kits_tf import commandline, config


def main(settings: config.Convert) -> None:
    """Converts every case, audited on the way; a second run converts what is missing or changed.

    Raises:
        InputError: bad data, or records of other settings are already there. Finished shards stay.
        OSError: the records cannot be written.
    """
    from kits_tf.ct.layouts import find_cases
    from kits_tf.pipeline.conversion import convert_all
    from kits_tf.pipeline.splits import included_cases
    from kits_tf.views.audit_table import findings_table
    from kits_tf.views.splits_table import splits_table

    manifest = convert_all(settings, included_cases(find_cases(settings.data_dir), settings.splits))
    print(findings_table(manifest.findings()))
    print(splits_table(manifest))
    if not manifest.splits["test"]:
        print(f"no test cases: none is numbered {settings.splits.test_cases}")
    print(f"wrote {settings.records_dir}")


if __name__ == "__main__":
    commandline.run(config.Convert, main)
