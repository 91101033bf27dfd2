"""Conversions that are stopped, killed, out of space, or not alone; manifest and shards are always consistent."""

import contextlib
import fcntl
import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY_GRID, convert_settings

from kits_tf import convert, phantom
from kits_tf.base.errors import InputError
from kits_tf.base.files import sha256
from kits_tf.base.results import Results
from kits_tf.base.settings import format_value
from kits_tf.base.spread import Work, spread
from kits_tf.ct.volume import read_labels, write_labels
from kits_tf.pipeline import case_conversion
from kits_tf.pipeline.manifest import Manifest


def contents(folder: Path) -> dict[str, bytes]:
    """Returns every file in and below a folder, hidden ones too, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def command(data_dir: Path, records_dir: Path, *flags: str) -> list[str]:
    grid = f"--spacing_zyx_mm={format_value(TINY_GRID.spacing_zyx_mm)}"
    folders = [f"--data_dir={data_dir}", f"--records_dir={records_dir}"]
    return [sys.executable, "-m", "kits_tf.convert", *folders, grid, "--test_cases=3", "--workers=2", *flags]


def is_whole(records_dir: Path) -> bool:
    """Returns whether the folder holds the manifest's shards, all in full length, and nothing half-written."""
    manifest = Manifest.read(records_dir)
    found = {path.name: path.stat().st_size for path in records_dir.iterdir()}
    shards = {name: shard.num_bytes for name, shard in manifest.shards.items()}
    return shards.items() <= found.items() and not [name for name in found if name.startswith(".partial-")]


@pytest.mark.slow
def test_the_same_bytes_in_this_process_in_one_and_in_two(data_dir: Path, tmp_path: Path) -> None:
    for flag in ("--runner=here", "--workers=1", "--workers=2"):
        subprocess.run(command(data_dir, tmp_path / flag, flag), capture_output=True, check=True)
    here, one, two = (contents(folder) for folder in sorted(tmp_path.iterdir()))
    assert here == one == two


def test_a_second_run_converts_what_changed_and_nothing_else(data_dir: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO", "kits_tf")
    data, records = shutil.copytree(data_dir, tmp_path / "data"), tmp_path / "records"
    convert.main(convert_settings(data, records))
    before = {path: path.stat().st_ino for path in records.glob("*.tfrecord")}
    mask_path = data / "case_00001/segmentation.nii.gz"
    mask = read_labels(mask_path)
    write_labels(mask_path, np.where(mask.array == 2, 1, mask.array).astype(np.uint8), like=mask)
    (records / "case_00002.tfrecord").write_bytes(b"cut")
    caplog.clear()
    convert.main(convert_settings(data, records))
    assert [message.split(":")[0] for message in caplog.messages] == [
        "case 2/4 case_00001",
        "case 3/4 case_00002",
        "2 cases were converted already",
    ]
    written_again = [path.stem for path, inode in before.items() if path.stat().st_ino != inode]
    assert sorted(written_again) == ["case_00001", "case_00002"]
    assert Manifest.read(records).cases["case_00001"].class_voxels[3] == 0
    convert.main(convert_settings(data, tmp_path / "fresh"))
    assert contents(records) == contents(tmp_path / "fresh")


def test_a_case_that_can_no_longer_be_read_loses_its_shard(data_dir: Path, tmp_path: Path) -> None:
    data, records = shutil.copytree(data_dir, tmp_path / "data"), tmp_path / "records"
    convert.main(convert_settings(data, records))
    (data / "case_00001/imaging.nii.gz").write_bytes(b"no scan")
    with pytest.raises(InputError, match="1 of 4 cases failed, .*; run convert again"):
        convert.main(convert_settings(data, records))
    assert not (records / "case_00001.tfrecord").exists()
    assert sorted(Manifest.read(records).cases) == ["case_00000", "case_00002", "case_00003"]


def test_two_runs_on_one_folder(data_dir: Path, tmp_path: Path) -> None:
    with open(tmp_path / ".lock", "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=f"{tmp_path}: another conversion is writing to it"):
            convert.main(convert_settings(data_dir, tmp_path))
    convert.main(convert_settings(data_dir, tmp_path))


def test_parts_end_in_the_same_bytes_in_any_order_and_twice(
    data_dir: Path, records_dir: Path, tmp_path: Path, caplog
) -> None:
    """The last part that ends writes the manifest of all."""
    caplog.set_level("INFO", "kits_tf")
    for number in (3, 1, 1):
        convert.main(convert_settings(data_dir, tmp_path, part=f"{number}/3"))
    assert "1 cases were converted already" in caplog.text or "2 cases were converted already" in caplog.text
    assert not Manifest.read(tmp_path).is_complete
    before = {path.name: path.stat().st_ino for path in tmp_path.glob("*.tfrecord")}
    with pytest.raises(InputError, match=r"[12] of 4 cases are missing, run their parts again: case_0000\d"):
        convert.main(convert_settings(data_dir, tmp_path, part="summary"))
    convert.main(convert_settings(data_dir, tmp_path, part="2/3"))
    assert before.items() <= {path.name: path.stat().st_ino for path in tmp_path.glob("*.tfrecord")}.items()
    assert Manifest.read(tmp_path).is_complete
    convert.main(convert_settings(data_dir, tmp_path, part="summary"))
    assert contents(tmp_path) == contents(records_dir)


def test_a_part_runs_beside_others_and_not_beside_all(data_dir: Path, tmp_path: Path) -> None:
    part = convert_settings(data_dir, tmp_path, part="1/2")
    with open(tmp_path / ".lock", "a") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        convert.main(part)
        with pytest.raises(InputError, match="another conversion is writing to it"):
            convert.main(convert_settings(data_dir, tmp_path))
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another conversion is writing to it"):
            convert.main(part)


def test_the_summary_says_why_cases_failed(data_dir: Path, tmp_path: Path, caplog) -> None:
    data, records = shutil.copytree(data_dir, tmp_path / "data"), tmp_path / "records"
    (data / "case_00001/imaging.nii.gz").write_bytes(b"no scan")
    for number in (1, 2):
        with contextlib.suppress(InputError):
            convert.main(convert_settings(data, records, part=f"{number}/2"))
    caplog.clear()
    with pytest.raises(InputError, match="1 of 4 cases are missing, run their parts again: case_00001"):
        convert.main(convert_settings(data, records, part="summary"))
    (message,) = caplog.messages
    assert message.startswith("failed: ") and "case_00001/imaging.nii.gz" in message


def test_records_of_before_results_were_kept_are_not_converted_again(data_dir: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO", "kits_tf")
    convert.main(convert_settings(data_dir, tmp_path))
    before = {path.name: path.stat().st_ino for path in tmp_path.glob("*.tfrecord")}
    shutil.rmtree(tmp_path / ".results")
    caplog.clear()
    convert.main(convert_settings(data_dir, tmp_path))
    assert caplog.messages == ["4 cases were converted already"] and Manifest.read(tmp_path).is_complete
    assert {path.name: path.stat().st_ino for path in tmp_path.glob("*.tfrecord")} == before


def test_a_case_whose_process_dies_has_no_result_of_before(tmp_path: Path) -> None:
    results = Results(tmp_path, case_conversion.ConvertedCase)
    work = Work(function=end_process, names=["a"], tasks=[(1,)], results=results)
    ((index, outcome),) = spread(work, "processes", 1, "")
    kept = results.read("a")
    assert index == 0 and isinstance(outcome, InputError) and isinstance(kept, InputError)
    assert str(kept) == str(outcome) == "its process died with exit status -9, perhaps because memory ran out"


def end_process(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_files_that_did_not_change_are_not_read_again(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, records = shutil.copytree(data_dir, tmp_path / "data"), tmp_path / "records"
    convert.main(convert_settings(data, records))
    read: list[str] = []
    monkeypatch.setattr(case_conversion, "sha256", lambda path: read.append(path.parent.name) or sha256(path))
    convert.main(convert_settings(data, records))
    assert read == []
    os.utime(data / "case_00002" / "imaging.nii.gz")  # as a copy of the data has another time
    convert.main(convert_settings(data, records))
    assert read == ["case_00002", "case_00002"]


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(data_dir: Path, tmp_path: Path) -> None:
    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))  # a shard has 60 to 70 thousand bytes

    ended = subprocess.run(
        command(data_dir, tmp_path / "records", "--workers=1"),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=no_large_files,
    )
    first, *waiting, error = ended.stderr.splitlines()
    assert ended.returncode == 1 and first == "starting 1 worker", ended.stderr
    assert all(line.startswith("converting") for line in waiting)  # on a busy machine
    assert "case_0000" in error and "File too large" in error
    assert sorted(path.name for path in (tmp_path / "records").iterdir()) == [".lock", "manifest.json"]


def test_an_output_that_cannot_be_a_folder(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = subprocess.run(command(data_dir, tmp_path / "file"), capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and ended.stderr.startswith("error: ") and len(ended.stderr.splitlines()) == 1
    assert str(tmp_path / "file") in ended.stderr


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_leaves_whole_shards(data_dir: Path, tmp_path: Path, sent: signal.Signals, status: int) -> None:
    run = subprocess.Popen(
        command(data_dir, tmp_path, "--workers=1", "--spacing_zyx_mm=2,2,2"),  # so that four cases take a while
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr is not None and run.stderr.readline() == "starting 1 worker\n"
    assert any("case 1/4" in line for line in run.stderr)  # on a busy machine after a line that says "converting"
    run.send_signal(sent)
    _, stderr = run.communicate(timeout=60)
    *cases, last = stderr.splitlines()
    assert run.returncode == status and last == "stopped: the same command continues"
    assert all(line.startswith("case ") for line in cases)
    assert is_whole(tmp_path) and 1 <= len(Manifest.read(tmp_path).shards) < 4


def test_an_interrupt_of_the_whole_terminal_while_workers_start_is_one_line(data_dir: Path, tmp_path: Path) -> None:
    run = subprocess.Popen(command(data_dir, tmp_path), stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert run.stderr is not None and run.stderr.readline() == "starting 2 workers\n"
    time.sleep(0.5)
    os.killpg(run.pid, signal.SIGINT)  # as Ctrl-C does: also to processes that are still importing
    _, stderr = run.communicate(timeout=60)
    *waiting, last = stderr.splitlines()
    assert (run.returncode, last) == (130, "stopped: the same command continues")
    assert all(line == "converting" for line in waiting)  # on a busy machine


@pytest.mark.slow
def test_twenty_kills_end_in_the_same_bytes(tmp_path: Path) -> None:
    data, finer = tmp_path / "data", "--spacing_zyx_mm=4,3,3"
    phantom.main(phantom.Phantom(output_dir=str(data), num_cases=16, phantom_spacing_zyx_mm=(4.0, 3.0, 3.0)))
    subprocess.run(command(data, tmp_path / "undisturbed", finer), check=True, capture_output=True)
    expected = contents(tmp_path / "undisturbed")
    chance, kills, folder = random.Random(19), 0, tmp_path / "killed-0"
    while kills < 20:
        run = subprocess.Popen(
            command(data, folder, finer), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert run.stderr is not None
        # While it starts, or while it converts: after so many cases and a moment more.
        lines, moment = chance.randrange(4), chance.uniform(0, 0.4)
        cases = (line for line in run.stderr if line.startswith("case "))
        reported = list(itertools.islice(cases, lines))
        time.sleep(moment if lines else 10 * moment)
        if run.poll() is None:
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
            kills += 1
            done = len(list(folder.glob("case*"))) if folder.exists() else 0
            after = reported[-1][:9] if reported else "no case"
            print(f"kill {kills}, {moment:.2f} s after {after}: {done} of 16 shards")
        else:
            assert run.returncode == 0 and contents(folder) == expected
            folder = tmp_path / f"killed-{kills}"
        run.stderr.close()
    subprocess.run(command(data, folder, finer), check=True, capture_output=True)
    assert contents(folder) == expected
