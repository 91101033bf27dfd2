import subprocess
import sys
from pathlib import Path

import pytest

from kits_tf.base.errors import InputError
from kits_tf.base.registry import Registry


def test_a_module_is_a_thing_unless_its_name_begins_with_an_underscore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "fruits_of_this_test"
    package.mkdir()
    (package / "__init__.py").write_text("from kits_tf.base.registry import Registry\nFRUITS = Registry('--fruit')\n")
    (package / "_peel.py").write_text("COLOR = 'red'\n")
    thing = "from fruits_of_this_test import FRUITS\nfrom fruits_of_this_test._peel import COLOR\n"
    (package / "apple.py").write_text(f"{thing}FRUITS.register('apple')(COLOR)\n")
    monkeypatch.syspath_prepend(tmp_path)
    fruits: Registry[str] = Registry("--fruit", "fruits_of_this_test")
    sys.modules.pop("fruits_of_this_test", None)
    import fruits_of_this_test  # type: ignore[import-not-found]

    fruits_of_this_test.FRUITS = fruits
    assert list(fruits) == ["apple"] and "_peel" not in fruits
    assert fruits["apple"] == "red"
    fruits.register("pear")("green")
    assert list(fruits) == ["apple", "pear"]
    for taken in ("apple", "pear"):
        with pytest.raises(InputError, match=f"^--fruit: expected a new name, got {taken}, which is taken$"):
            fruits.register(taken)("brown")
    sys.modules.pop("fruits_of_this_test.apple")
    with pytest.raises(InputError, match="apple, which is taken"):  # though its module has not been imported
        Registry("--fruit", "fruits_of_this_test").register("apple")("brown")
    with pytest.raises(InputError, match="^--fruit: expected one of apple, pear, got _peel$"):
        fruits["_peel"]


def test_help_lists_choices_without_tensorflow() -> None:
    code = "import sys; from kits_tf.train import COMMAND; text = COMMAND.help_text(); print(text)\n"
    code += "print([name for name in ('tensorflow', 'keras', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--loss=boundary_cross_entropy|cross_entropy|dice|dice_cross_entropy|tversky\n" in done.stdout
    assert "--preset=mlperf|record|resenc_m|small|winner\n" in done.stdout
    assert done.stdout.count("--plugins=") == 1
    assert done.stdout.endswith("\n[]\n")
