"""python -m kits_tf.convert: CT volumes -> TFRecords and their manifest."""

from dataclasses import dataclass

from kits_tf.base.command import Command
from kits_tf.base.files import require_writable
from kits_tf.base.parts import parse_part
from kits_tf.config import ConversionSettings


@dataclass(frozen=True, kw_only=True)
class Convert(ConversionSettings):
    """Converts CT volumes and their masks into TFRecords on the training grid."""


def main(settings: Convert) -> None:
    """Converts every case, audited on the way; a second run converts what is missing or changed.

    Raises:
        InputError: bad data, or records of other settings are already there. Finished shards stay.
        OSError: the records cannot be written.
    """
    from kits_tf.ct.layouts import find_cases
    from kits_tf.pipeline.conversion import convert_all
    from kits_tf.pipeline.splits import included_cases
    from kits_tf.views.terminal.audit_table import findings_table
    from kits_tf.views.terminal.splits_table import splits_table

    require_writable(settings.records_dir)
    manifest = convert_all(settings, included_cases(find_cases(settings.data_dir), settings.splits))
    if settings.part and not manifest.is_complete:
        part = parse_part(settings.part)
        print(f"converted part {part} into {settings.records_dir}; the last part that ends writes the manifest")
        return
    print(findings_table(manifest.findings()))
    print(splits_table(manifest))
    if not manifest.splits["test"]:
        print(f"no test cases: none is numbered {settings.splits.test_cases}")
    print(f"wrote {settings.records_dir}")


COMMAND = Command(name="convert", settings=Convert, main=main, continues=True)

if __name__ == "__main__":
    COMMAND.run()
