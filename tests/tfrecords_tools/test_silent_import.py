import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def start(code: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", f"from tfrecords_tools.silent_import import silent_import\n{code}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


def test_what_a_start_says_is_held_back() -> None:
    code = "import os\nwith silent_import():\n    os.write(2, b'held')\n    print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    quiet = start(f"{code}\nos.write(2, b'after')")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "3\n", "after")


def test_what_a_failing_import_says_is_shown() -> None:
    failed = start("with silent_import():\n    import os; os.write(2, b'why'); 1 / 0")
    assert failed.stderr.startswith("why") and "ZeroDivisionError" in failed.stderr


def test_tensorflow_stays_out_of_what_reads_and_checks_files() -> None:
    names = ["damage", "framing", "index", "read", "reshard", "silent_import", "verify", "write"]
    imports = "; ".join(f"import tfrecords_tools.{name}" for name in names)
    code = f"{imports}; import sys; print([m for m in sys.modules if m in ('tensorflow', 'keras')])"
    assert start(code).stdout == "[]\n"
