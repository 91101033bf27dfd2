"""python -m kits_tf.simulate: scans with masks, invented from label maps of bodies."""

from dataclasses import dataclass
from pathlib import Path

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.files import require_writable, write_text
from kits_tf.base.flagfile import from_flagfile, to_flagfile
from kits_tf.base.processes import run_tasks
from kits_tf.base.progress import track
from kits_tf.base.settings import Settings, changed_flags, required, setting
from kits_tf.config import shared

_FLAGS = "simulate.flags"
# Flags that change nothing of a case.
_OF_THE_RUN = {"output_dir", "cases", "workers"}


@dataclass(frozen=True, kw_only=True)
class Simulate(Settings):
    """Simulates CT scans with masks from label maps of bodies, in KiTS19's layout.

    Bodies are posed, bent and painted at random, in any contrast phase. A network can learn from such scans if real
    ones cannot be shared, but judge it on real scans. docs/simulation.md says what is drawn.
    """

    label_maps: str = required(
        "Folder of label maps of bodies (NIfTI), and classes.json, which names their numbers as TotalSegmentator does.",
        is_path=True,
    )
    output_dir: str = required("Folder to write case_01000, case_01001, ... to; existing cases are kept.")
    cases: str = setting("0-99", "Numbers of the cases to write, for example 0-99,120; number 0 becomes case_01000.")
    donors_dir: str | None = setting(
        None,
        "Data set, such as KiTS19, whose kidneys and tumors half of the bodies get. Default: bodies keep their own.",
    )
    excluded_donors: str = setting("", "Numbers of cases whose kidneys are not used, for example 1,160-209.")
    spacing_mm: float = setting(2.0, "Voxel size in mm; voxels are cubes.", above=0)
    seed: int = shared.seed()
    workers: int = setting(0, "Processes that draw cases; 0: as many as cores and memory allow, 3 GB each.", minimum=0)


def main(settings: Simulate) -> None:
    """Writes the cases; the same flags give the same files.

    Raises:
        InputError: bad label maps or donors, or cases of other settings are already there. Finished cases stay.
        OSError: cases cannot be written.
    """
    from kits_tf.ct.layouts import case_number, find_cases, parse_case_numbers
    from kits_tf.synthesis.bodies import body_paths
    from kits_tf.synthesis.simulation import Plan, write_case

    require_writable(settings.output_dir)
    _check_same(settings)
    excluded = parse_case_numbers(settings.excluded_donors)
    donors = find_cases(settings.donors_dir) if settings.donors_dir else []
    plan = Plan(
        bodies=body_paths(settings.label_maps),
        donors=[files for files in donors if files.labels and case_number(files.case_id) not in excluded],
        spacing_mm=settings.spacing_mm,
        seed=settings.seed,
    )
    numbers = sorted(parse_case_numbers(settings.cases))
    tasks = [(Path(settings.output_dir) / f"case_{1000 + number:05d}", number, plan) for number in numbers]
    errors = []
    for _, line in track(run_tasks(write_case, tasks, settings.workers), "case", len(tasks)):
        if isinstance(line, InputError):
            errors.append(line)
        else:
            print(line, flush=True)
    if errors:
        raise errors[0]
    print(f"wrote {settings.output_dir}")


def _check_same(settings: Simulate) -> None:
    """Keeps the settings beside the cases, and refuses to add cases of others.

    Raises:
        InputError: the folder holds cases of other settings, or other data.
    """
    from kits_tf.ct.layouts import write_data_note

    path = Path(settings.output_dir) / _FLAGS
    if not path.exists():
        write_data_note(path.parent, "simulated scans: to be judged on real ones")
        write_text(path, to_flagfile(settings, "simulate"))
        return
    changed = changed_flags(from_flagfile(Simulate, path), settings)
    if others := [flag for name, flag in changed.items() if name not in _OF_THE_RUN]:
        raise InputError(f"{path.parent}: holds cases of other settings, got {' '.join(others)}; use a new folder")


COMMAND = Command(name="simulate", settings=Simulate, main=main, continues=True)

if __name__ == "__main__":
    COMMAND.run()
