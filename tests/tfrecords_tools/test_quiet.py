import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def start(code: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", f"from tfrecords_tools.quiet import quiet_start\n{code}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


def test_what_a_start_says_is_held_back() -> None:
    code = "import os\nwith quiet_start():\n    os.write(2, b'held')\n    print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    quiet = start(f"{code}\nos.write(2, b'after')")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "3\n", "after")


def test_what_a_failing_import_says_is_shown() -> None:
    failed = start("with quiet_start():\n    import os; os.write(2, b'why'); 1 / 0")
    assert failed.stderr.startswith("why") and "ZeroDivisionError" in failed.stderr


@pytest.mark.parametrize("name", ["verify", "reshard", "read", "write", "index", "framing", "quiet"])
def test_tensorflow_stays_out(name: str) -> None:
    code = f"import sys, tfrecords_tools.{name}; print([m for m in sys.modules if m in ('tensorflow', 'keras')])"
    assert start(code).stdout == "[]\n"
