"""Flag files as editors of other systems save them."""

from pathlib import Path

import pytest

from kits_tf.audit import Audit
from kits_tf.base.errors import InputError
from kits_tf.base.flagfile import parse_flags

TEXT = '# Ärzte\r\n\r\n  --data_dir="/a b" \r\n\t--workers=3\r\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marks_line_ends_spaces_and_quotes(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.flags").write_bytes(TEXT.encode(encoding))
    (tmp_path / "b.flags").write_text(f"--flagfile={tmp_path}/a.flags\n--flagfile={tmp_path}/b.flags\n")
    assert parse_flags(Audit, [f"--flagfile={tmp_path}/b.flags"]) == ({"data_dir": "/a b", "workers": 3}, [])


def test_other_encodings_and_folders_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.flags").write_bytes(TEXT.encode("latin-1"))
    with pytest.raises(InputError, match=r"a.flags: expected text in UTF-8, found byte 0xc4 at offset 2; save it as"):
        parse_flags(Audit, [f"--flagfile={tmp_path}/a.flags"])
    with pytest.raises(InputError, match=r"--flagfile=\S+: expected a file of flags, found a folder$"):
        parse_flags(Audit, [f"--flagfile={tmp_path}"])
