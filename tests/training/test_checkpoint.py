from pathlib import Path

import numpy as np
import pytest

from kits_tf.training.checkpoint import Checkpoint, Position, load_checkpoint, save_checkpoint

ARRAYS = {
    "network/0000/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "metrics/0000/confusion": np.array([[2**40, 0], [1, 2]], np.int64),
    "network/0001/seed_generator_state": np.array([1, 2**31], np.uint32),
    "optimizer/0000/iteration": np.int64(7),
}


def save(folder: Path, *positions: tuple[int, int]) -> None:
    for epoch, step in positions:
        save_checkpoint(folder, Checkpoint(Position(epoch, step), {**ARRAYS, "step": np.array(step)}))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path / "checkpoints", (3, 120))
    found = load_checkpoint(tmp_path / "checkpoints")
    assert found is not None and found.position == Position(3, 120)
    assert set(found.arrays) == {*ARRAYS, "step"}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    save(tmp_path, (0, 1), (0, 2), (1, 0), (10, 0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000001-000000.npz", "000010-000000.npz"]


def test_there_may_be_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "none") is None


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_damaged_one_is_passed_over(tmp_path: Path, damage: str, log: list[str]) -> None:
    save(tmp_path, (0, 5), (1, 0))
    newest = tmp_path / "000001-000000.npz"
    content = bytearray(newest.read_bytes())
    content[content.index(np.float32(23).tobytes())] ^= 1
    newest.write_bytes({"flipped": content, "cut": content[: len(content) // 2], "empty": b""}[damage])
    (tmp_path / ".partial-1-000002-000000.npz").write_bytes(b"half")
    found = load_checkpoint(tmp_path)
    assert found is not None and found.position == Position(0, 5) and found.arrays["step"] == 5
    assert log == [f"{newest}: damaged, going back to the checkpoint before it"]
    assert not list(tmp_path.glob(".partial*"))


def test_a_checkpoint_that_cannot_be_written_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, (0, 1), (0, 2))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="000000-000003.npz: cannot be written: No space left"):
        save(tmp_path, (0, 3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000-000001.npz", "000000-000002.npz"]
