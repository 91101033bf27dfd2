import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from kits_tf.base.errors import InputError
from kits_tf.views.pages.niivue import niivue_module


def test_the_installed_package_gives_a_module_that_exports_the_class() -> None:
    source = niivue_module()
    assert len(source) > 10**6 and re.search(
        r"export\{\w+ as Niivue\};\nexport const OPTIONS = \{[^{}]*\};\n$", source[-600:]
    )
    assert "</script" not in source[-600:]


@pytest.mark.parametrize("content", [None, "export default {};", 'console.log("Creating new Niivue instance");'])
def test_another_package_is_told(content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "static").mkdir()
    if content is not None:
        (tmp_path / "static/widget.js").write_text(content)
    package = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: package)
    with pytest.raises(InputError, match=r"expected ipyniivue 2 with NiiVue in it, got another one"):
        niivue_module()
