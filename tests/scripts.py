"""Scripts of docs/ and benchmarks/ as modules, and the Python that documents show."""

import contextlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from absl import flags

ROOT = Path(__file__).parent.parent


def python_blocks(page: str) -> list[str]:
    """Returns the Python of a document of the repository, block by block."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


@contextlib.contextmanager
def loaded_script(path: str) -> Iterator[ModuleType]:
    """Yields the module of a script of the repository, which may import what lies beside it, as when it is run.

    At the end the flags that it defines are removed.
    """
    name, before = Path(path).stem + "_script", set(flags.FLAGS)
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str((ROOT / path).parent))
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str((ROOT / path).parent))
        del sys.modules[name]
        for flag in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, flag)
