"""python -m kits_tf.phantom: a small data set of simulated CT in KiTS19's layout."""

from dataclasses import dataclass
from pathlib import Path

from kits_tf.base.command import Command
from kits_tf.base.files import require_absent, require_writable
from kits_tf.base.progress import track
from kits_tf.base.settings import Settings, required, setting
from kits_tf.config import shared


@dataclass(frozen=True, kw_only=True)
class Phantom(Settings):
    """Writes a small data set of simulated CT in KiTS19's layout."""

    output_dir: str = required("Folder to write case_00000, case_00001, ... to.")
    num_cases: int = setting(14, "Cases to write.", minimum=1, maximum=210)
    phantom_spacing_zyx_mm: tuple[float, float, float] = setting(
        (4.0, 2.0, 2.0), "Voxel size in mm; KiTS19's median is about 3,0.8,0.8.", above=0
    )
    overwrite: bool = shared.overwrite_cases()
    seed: int = shared.seed()


def main(settings: Phantom) -> None:
    """Writes the phantoms, and what they are; the same flags give the same files.

    Raises:
        InputError: a case is there, or a case of other data, and is not to be replaced; or nothing can be written.
    """
    from kits_tf.ct.layouts import IMAGE_NAME, LABELS_NAME, write_data_note
    from kits_tf.synthesis.phantoms import write_phantom

    require_writable(settings.output_dir)
    folders = [Path(settings.output_dir) / f"case_{number:05d}" for number in range(settings.num_cases)]
    if not settings.overwrite:
        require_absent(folder / name for folder in folders for name in (IMAGE_NAME, LABELS_NAME))

    write_data_note(Path(settings.output_dir), "phantoms: not for real scans", overwrite=settings.overwrite)
    for number, folder in enumerate(track(folders, "phantom", len(folders))):
        write_phantom(folder, number, settings.phantom_spacing_zyx_mm, settings.seed)
    print(f"wrote {settings.output_dir}")


COMMAND = Command(name="phantom", settings=Phantom, main=main)

if __name__ == "__main__":
    COMMAND.run()
