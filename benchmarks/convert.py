"""Cases per minute, memory and bytes from compressed NIfTI to files ready for training: kits_tf and its peers.

    python benchmarks/convert.py --data_dir=KITS19 --cases=0-9 --peers_python=.venv-peers/bin/python

One run of each on the same cases and cores, all to voxels of 1.6, 1.2, 1.2 mm. What is timed is a whole process, as a
user starts it: the interpreter's start and imports count for everybody. Files are read and packages imported once
before, so that everybody finds them in the page cache. With N workers on C cores, each worker of a peer gets C/N
threads: OpenMP, BLAS and PyTorch are told so by OMP_NUM_THREADS and its like, as users of these tools do. Each process
of kits_tf has one.

Memory is the largest sum of PSS over all processes of a contender: pages that several of them share count once. Linux
takes 0.1 s to tell it for 4 GB, during which the contender is held up, so it is asked only when anonymous memory, which
costs nothing to read ten times a second, has grown by 5 % over its last peak.

A contender that fails is in the table too, and the end of its output below.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import app, flags

from kits_tf.base.provenance import package_versions
from kits_tf.ct import layouts

PEERS_DIR = Path(__file__).parent / "peers"
SAMPLE_SECONDS = 0.1
PSS_GROWTH = 1.05
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SHOWN_LINES = 15


@dataclass(frozen=True)
class Contender:
    """How to start one, and what it makes of image and labels."""

    title: str
    kernels: str
    script: str
    options: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        return self.script == "kits_tf.convert"

    def command(self, peers_python: str, data_dir: Path, output_dir: Path, workers: int) -> list[str]:
        python = [sys.executable, "-m", self.script] if self.is_ours else [peers_python, str(PEERS_DIR / self.script)]
        output = f"--records_dir={output_dir}" if self.is_ours else f"--output_dir={output_dir}"
        return [*python, f"--data_dir={data_dir}", output, f"--workers={workers}", *self.options]


def ours(kernel: str) -> Contender:
    # No test cases: the chosen ones may be numbered as such, and two must be left for training and validation.
    options = (f"--image_kernel={kernel}", f"--label_kernel={kernel}", "--test_cases=", "--crop=none")
    return Contender(f"kits_tf {kernel}", f"{kernel}, {kernel}", "kits_tf.convert", options)


def mlperf(title: str, kernel: str, resampler: str) -> Contender:
    return Contender(title, f"{kernel}, nearest", "mlperf.py", (f"--resampler={resampler}",))


CONTENDERS = {
    "cubic_fit": ours("cubic_fit"),
    "cubic": ours("cubic"),
    "linear": ours("linear"),
    "torch_linear": mlperf("MLPerf training's way", "linear", "torch_linear"),
    "scipy_linear": mlperf("MLPerf inference's way", "linear", "scipy_linear"),
    "scipy_cubic": mlperf("SciPy zoom", "cubic", "scipy_cubic"),
    "nnunet": Contender("nnU-Net v2", "cubic, linear; nearest along z where anisotropic", "nnunet.py"),
    "monai": Contender("MONAI PersistentDataset", "linear, nearest", "monai_persistent.py"),
}

DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of KiTS19 cases: case_00000, ...", required=True)
CASES = flags.DEFINE_string("cases", "0-9", "Case numbers, as in 0-9,15; two or more.")
WORKERS = flags.DEFINE_integer("workers", None, "Processes of each contender. Default: one a core.", lower_bound=1)
PEERS_PYTHON = flags.DEFINE_string("peers_python", ".venv-peers/bin/python", "Python with peers/requirements.txt.")
ONLY = flags.DEFINE_list("only", list(CONTENDERS), "Contenders to run.")


@dataclass(frozen=True)
class Run:
    """What a contender took; `error`: the end of its output if it failed."""

    wall_seconds: float
    peak_bytes: int
    written_bytes: int
    error: str


def main(_: list[str]) -> None:
    if unknown := set(ONLY.value) - set(CONTENDERS):
        raise SystemExit(f"--only: expected some of {', '.join(CONTENDERS)}, got {', '.join(sorted(unknown))}")
    contenders = [CONTENDERS[name] for name in ONLY.value]
    cores = len(os.sched_getaffinity(0))
    workers = WORKERS.value or cores
    folders = find_folders(Path(DATA_DIR.value), CASES.value)
    print(f"{len(folders)} cases, {read_all(folders) / 1e6:.0f} MB compressed; {cores} cores, {workers} workers")
    print(f"kits_tf: {', '.join(f'{name} {version}' for name, version in package_versions().items())}")
    import_once(sys.executable, "kits_tf.pipeline.case_conversion, kits_tf.pipeline.case, tensorflow")
    if not all(contender.is_ours for contender in contenders):
        print(f"peers: {peer_versions(PEERS_PYTHON.value)}")
        preprocessor = "nnunetv2.preprocessing.preprocessors.default_preprocessor"
        import_once(PEERS_PYTHON.value, f"torch, scipy.ndimage, monai.transforms, {preprocessor}")
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(max(1, cores // workers)))
    runs = []
    for contender in contenders:
        runs.append(run(contender, folders, workers, environment))
        print(f"{contender.title}: {runs[-1].wall_seconds:.1f} s", flush=True)
    print("\n" + table(contenders, runs, len(folders)))
    for contender, result in zip(contenders, runs, strict=True):
        if result.error:
            print(f"\n{contender.title} failed:\n{result.error}")


def find_folders(data_dir: Path, cases: str) -> list[Path]:
    folders = [data_dir.absolute() / f"case_{number:05d}" for number in sorted(layouts.parse_case_numbers(cases))]
    for folder in folders:
        for name in (layouts.IMAGE_NAME, layouts.LABELS_NAME):
            if not (folder / name).is_file():
                raise SystemExit(f"{folder / name}: expected a file, found none")
    return folders


def read_all(folders: list[Path]) -> int:
    """Returns how many bytes the cases have; all of them are in the page cache then."""
    names = (layouts.IMAGE_NAME, layouts.LABELS_NAME)
    return sum(len((folder / name).read_bytes()) for folder in folders for name in names)


def peer_versions(python: str) -> str:
    """Returns "monai 1.6.1, ..." as installed where `python` is.

    Raises:
        SystemExit: there is no such Python, or a package is missing.
    """
    lines = (PEERS_DIR / "requirements.txt").read_text().splitlines()
    names = [line.split("==")[0] for line in lines if not line.startswith("#")]
    code = f"from importlib.metadata import version; print(', '.join(f'{{n}} {{version(n)}}' for n in {names}))"
    try:
        return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        wanted = f"expected Python with the packages of {PEERS_DIR}/requirements.txt"
        raise SystemExit(f"--peers_python={python}: {wanted}: {error}") from None


def import_once(python: str, modules: str) -> None:
    """Brings the modules into the page cache; one that cannot be imported will say so in its contender's run."""
    subprocess.run([python, "-c", f"import {modules}"], check=False, capture_output=True)


def run(contender: Contender, folders: list[Path], workers: int, environment: dict[str, str]) -> Run:
    """Returns what one contender took; everything that it wrote is removed."""
    with tempfile.TemporaryDirectory() as scratch, open(Path(scratch) / "log", "w+") as log:
        data_dir, output_dir = Path(scratch) / "data", Path(scratch) / "output"
        data_dir.mkdir()
        output_dir.mkdir()
        for folder in folders:
            (data_dir / folder.name).symlink_to(folder)
        command = contender.command(PEERS_PYTHON.value, data_dir, output_dir, workers)
        os.sync()  # what the one before wrote must not slow this one's disk
        wall_seconds, peak_bytes, status = watch(command, environment, log.fileno())
        log.seek(0)
        tail = [line.rstrip() for line in log if line.strip()][-SHOWN_LINES:]
        written = sum(path.lstat().st_size for path in output_dir.rglob("*") if path.is_file())
    error = "\n".join([*tail, f"exit status {status}"]) if status else ""
    return Run(wall_seconds, peak_bytes, written, error)


def watch(command: Sequence[str], environment: dict[str, str], log: int) -> tuple[float, int, int]:
    """Returns wall seconds, the most bytes that the command and its children held together, and its exit status."""
    start = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    peak = MemoryPeak(process.pid)
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(SAMPLE_SECONDS)
                return time.monotonic() - start, peak.pss_bytes, status
            peak.sample()
    finally:
        with contextlib.suppress(ProcessLookupError):  # after an interrupt, or if it left children behind
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class MemoryPeak:
    """The most memory that the processes of a session were seen to hold together."""

    def __init__(self, session: int):
        self.session, self.pss_bytes, self._roughly = session, 0, 0

    def sample(self) -> None:
        pids = session_pids(self.session)
        if (roughly := sum(map(private_bytes, pids))) > PSS_GROWTH * self._roughly:
            self._roughly = roughly
            self.pss_bytes = max(self.pss_bytes, sum(map(pss_bytes, pids)))


def session_pids(session: int) -> list[int]:
    found = []
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if os.getsid(pid) == session:
                found.append(pid)
    return found


def private_bytes(pid: int) -> int:
    """Returns the anonymous memory of a process, as if it shared none with the one it was forked from."""
    with contextlib.suppress(OSError):
        _, resident, shared = map(int, Path(f"/proc/{pid}/statm").read_text().split()[:3])
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
    return 0


def pss_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return 0


def table(contenders: list[Contender], runs: list[Run], num_cases: int) -> str:
    """Returns the runs as Markdown; the last columns: how many times as fast as a row each of ours is."""
    rates = [0.0 if result.error else 60 * num_cases / result.wall_seconds for result in runs]
    bases = {c.title: rate for c, rate in zip(contenders, rates, strict=True) if c.is_ours and rate}
    head = [
        "",
        "image, labels",
        "cases/min",
        "wall, s",
        "peak memory, MB",
        "written, MB",
        *(f"{b}: times as fast" for b in bases),
    ]
    rows = [head, ["---"] * len(head)]
    for contender, result, rate in zip(contenders, runs, rates, strict=True):
        measured = [f"{result.wall_seconds:.1f}", f"{result.peak_bytes / 1e6:.0f}", f"{result.written_bytes / 1e6:.0f}"]
        ratios = [f"{base / rate:.2f}" if rate else "" for base in bases.values()]
        rows.append([contender.title, contender.kernels, f"{rate:.2f}" if rate else "failed", *measured, *ratios])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    app.run(main)
