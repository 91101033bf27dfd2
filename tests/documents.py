"""The command lines of documents, and a folder in which those of a page run, one after the other.

A line is run as it stands, in a process that has imported TensorFlow already. What makes it small is in SMALL, what
cannot run here in SKIPPED, what a page takes for granted in `lay`.
"""

import contextlib
import multiprocessing
import os
import re
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scripts import ROOT
from series import write_series_of

# Processes that run lines are forked from one that has done the slow imports.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tensorflow", "keras", "scipy.ndimage", "documents"])

GRID = "--spacing_zyx_mm=12,10,10 --test_cases=3 --validation_fraction=0.3"
# Flags that are added to lines with a word in them, in this order: of one flag the last counts.
SMALL = (
    ("kits_tf.phantom", "--phantom_spacing_zyx_mm=12,10,10"),
    ("kits_tf.phantom --output_dir=DATA", "--output_dir=PHANTOM"),
    ("kits_tf.simulate", "--cases=0 --spacing_mm=6 --workers=1"),
    ("kits_tf.convert", f"{GRID} --num_folds=2"),
    ("--splits_file", "--test_cases= --validation_fraction=0.1"),
    ("kits_tf.train", f"{GRID} --patch_size_zyx=8,16,16 --patches_per_case=1 --shuffle_patches=4 --epochs=1"),
    ("kits_tf.train", "--validation_patches_per_case=1 --filters=4,8"),
    ("kits_tf.train", "--blur_probability=0 --low_resolution_probability=0"),
    ("kits_tf.train", "--gamma_probability=0 --inverted_gamma_probability=0 --warmup_epochs=0"),
    ("kits_tf.train --flagfile=configs/body.flags", "--filters=8,16,32,96"),
    ("--preset=resenc_m", "--patch_size_zyx=32,32,32 --filters=4,4,4,4,4,4 --blocks=0,1,1,1,1,1"),
    ("--preset=slim", "--patch_size_zyx=8,16,16"),
    ("--preset=dilated", "--filters=4,4,4"),
    ("--initial_weights=starter", "--filters=8,16,32,96"),
    ("--preset=winner", "--patch_size_zyx=32,32,32 --filters=4,4,4,4,4,4 --blocks=0,1,1,1,1,1"),
    ("--augmentations", "--patch_size_zyx=8,16,16"),
    ("kits_tf.serve", "--grpc_port=8500 --rest_port=8501"),
    ("kits_tf.app", "--page_port=8080"),
    ("tensorboard", "--port=6006"),
    ("curl", "--fail"),
)
PORTS = ("8500", "8501", "8080", "6006")
SERVERS = ("kits_tf.serve", "kits_tf.app", "tensorboard")

_BENCHMARK = "takes minutes to hours, on KiTS19 or beside peers that tests do not install"
_INSTALLS = "installs what tests have installed"
_HOSTS = "needs hosts that are not here"
# Beginnings of lines that cannot run in a test, each with the reason.
SKIPPED = (
    ("pip install ", _INSTALLS),
    ("python3 -m venv ", _INSTALLS),
    (".venv/bin/", "works in an environment that `make` has made"),
    ("make ", "is a target of the Makefile: `make test` runs the tests, tests/test_demo.py the demo"),
    ("docker ", "needs a container, and none can be started here: `kits_tf.serve` stands in for it"),
    ("python benchmarks/", _BENCHMARK),
    ("GLIBC_TUNABLES=", _BENCHMARK),
    ("python -m kits_tf.demo ", "takes minutes: tests/test_demo.py runs the demo"),
    ("python -m kits_tf.convert --data_dir=gs://", "needs a bucket and a cluster that are not here"),
    ("python -m kits_tf.convert --runner=beam ", _HOSTS),
    ("TF_CONFIG=", _HOSTS),
    ("sbatch ", _HOSTS),
)


def reason_to_skip(line: str) -> str:
    """Returns why a line cannot run here; "" if it can."""
    return next((reason for beginning, reason in SKIPPED if line.startswith(beginning)), "")


def steps(text: str) -> list[str]:
    """Returns what a reader of a document or a part of it types, in order: command lines, and blocks of Python.

    Command lines are those of indented blocks whose first line begins with a program or a comment, and the calls with
    flags that stand in a sentence. Comments are taken off; of an optional part the last alternative is taken. A block
    of Python ends with the end of a line, a command line does not.
    """
    typed, block = [], ""
    for line in [*text.replace("\\\n", " ").splitlines(), ""]:
        if line == "```python" or (block.startswith("```") and line != "```"):
            block += f"{line}\n"
            continue
        if line.startswith("    "):
            block += f"{line.strip()}\n"
            continue
        typed += _steps_of_block(block)
        typed += [_one_line(call) for call in re.findall(r"`(python -m kits_tf\.\w+ [^`]*--[^`]*)`", line)]
        block = ""
    return [step for step in typed if step and (step.endswith("\n") or "..." not in step)]


def _steps_of_block(block: str) -> list[str]:
    if block.startswith("```"):
        return [block.removeprefix("```python\n")]
    if not re.match(r"#|(\S*/)?(python3?|pip|make|docker|curl|tensorboard|time|sbatch) |[A-Z_]+=", block):
        return []
    lines = [re.sub(r"(^|\s+)#.*", "", line) for line in block.splitlines()]
    return [_one_line(part) for line in lines for part in line.split(" && ")]


def _one_line(command: str) -> str:
    command = re.sub(r"\[(--[^]]*)\]", lambda part: re.sub(r"\w+\|", "", part[1]), command)
    return " ".join(command.split())


def lay(clone: Path, made: Callable[[str], Path], given: dict[str, str]) -> None:
    """Fills a folder with what every page takes for granted, and with what one page does.

    Args:
        clone: folder to make; kits19 lies beside it too, as README has it.
        made: function from what a folder or file is, as in "data" or "run", to where one is.
        given: names of what the page takes for granted, with what each is.
    """
    clone.mkdir(parents=True)
    data = clone.parent / "kits19/data"
    shutil.copytree(made("data"), data)
    scan = data / "case_00000/imaging.nii.gz"
    for copy in (data / "case_00210/imaging.nii.gz", clone / "scan.nii.gz", clone / "more/other.nii.gz"):
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(scan, copy)
    (clone / "kits19").symlink_to(data.parent)
    (clone / "configs").symlink_to(ROOT / "configs")
    shutil.make_archive(str(clone / "zipped"), "zip", write_series_of(clone / "dicom_folder", scan))
    for name, source in given.items():
        copy = clone / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        original = made(source)
        (shutil.copytree if original.is_dir() else shutil.copyfile)(original, copy)


@dataclass(kw_only=True)
class Reader:
    """Somebody who types lines into a terminal, and starts servers in others.

    Attributes:
        folder: current folder.
        extra: flags that are added to all lines with a word in them, after SMALL.
        ports: free ports in the place of those that documents name.
        servers: servers that run, by the line that started each.
    """

    folder: Path
    extra: tuple[tuple[str, str], ...] = ()
    ports: dict[str, str] = field(default_factory=lambda: {port: _free_port() for port in PORTS})
    servers: dict[str, multiprocessing.process.BaseProcess] = field(default_factory=dict)

    def small(self, line: str) -> list[str]:
        """Returns the words of a line with the flags and ports that let it run here in seconds."""
        line = " ".join([line, *(flags for word, flags in (*SMALL, *self.extra) if word in line)])
        line = self._at_free_ports(line.removeprefix("/usr/bin/time -v "))
        return shlex.split(re.sub(r"(?<= )[^ '\"]*\*[^ '\"]*", self._files, line))

    def read(self, text: str) -> str:
        """Does what a document says, in order, and returns all that was printed.

        The page's own line with `serve` stands in for docker.
        """
        printed, typed = "", steps(text)
        for step in typed:
            if step.startswith("docker "):
                step = next(line for line in typed if "kits_tf.serve" in line)
            if not reason_to_skip(step) and step not in self.servers:
                printed += self.type(step)
        return printed

    def type(self, step: str) -> str:
        """Runs a step to its end, or starts a server and waits until it answers; returns what was printed."""
        if file := re.match(r"# (\w+\.py)\n", step):
            (self.folder / file[1]).write_text(step)
            return ""
        words = ["python", "-c", self._at_free_ports(step)] if step.endswith("\n") else self.small(step)
        log = self.folder.parent / f"printed{len(self.servers)}.txt"
        process = PROCESSES.Process(target=_run, args=(words, self.folder, log))
        process.start()
        if any(server in words for server in SERVERS):
            self.servers[step] = process
            self._wait(step, log)
        else:
            process.join()
            assert process.exitcode == 0, f"{step}: exit status {process.exitcode}: {log.read_text()}"
        return log.read_text()

    def leave(self) -> None:
        """Stops the servers as SIGTERM does, which ends them with status 0."""
        for process in self.servers.values():
            process.terminate()
        for line, process in self.servers.items():
            process.join(60)
            assert process.exitcode is not None and (process.exitcode == 0 or "tensorboard" in line), line
        self.servers.clear()

    def _files(self, pattern: re.Match) -> str:
        return " ".join(sorted(str(path.relative_to(self.folder)) for path in self.folder.glob(pattern[0])))

    def _at_free_ports(self, text: str) -> str:
        return re.sub(rf"(?<=[:=])({'|'.join(self.ports)})\b", lambda port: self.ports[port[1]], text)

    def _wait(self, line: str, log: Path) -> None:
        port = next(port for server, port in zip(SERVERS, ("8501", "8080", "6006"), strict=True) if server in line)
        end = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(self.ports[port]))):
                return
            assert self.servers[line].is_alive() and time.monotonic() < end, f"{line}: {log.read_text()}"
            time.sleep(0.1)


@contextlib.contextmanager
def reader(folder: Path, *extra: tuple[str, str]) -> Iterator[Reader]:
    """Yields a reader; servers that still run at the end are stopped."""
    person = Reader(folder=folder, extra=extra)
    try:
        yield person
    finally:
        person.leave()


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def _run(words: list[str], folder: Path, log: Path) -> None:
    """Does in this process what a shell does with a line: `python -m` and `python FILE` as Python itself."""
    os.chdir(folder)
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), str(ROOT)])
    sys.path[:0] = [str(folder), str(ROOT)]
    program, *arguments = words
    if program == "tensorboard":
        program, arguments = "python", ["-m", "tensorboard.main", *arguments]
    if program != "python":
        sys.exit(subprocess.run(words, check=False).returncode)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    elif arguments[0] == "-c":
        exec(arguments[1], {"__name__": "__main__"})
    else:
        sys.argv = arguments
        runpy.run_path(sys.argv[0], run_name="__main__")
