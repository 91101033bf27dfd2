"""A family of networks of one's own: one module, chosen by --plugins and --preset."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from conftest import train_settings

from kits_tf import export, predict, summary, train
from kits_tf.base.errors import InputError
from kits_tf.base.flagfile import to_flagfile
from kits_tf.config import NetworkSettings
from kits_tf.config.choices import PRESETS
from kits_tf.network.architecture import make_architecture
from kits_tf.training.history import read_history
from kits_tf.training.run import load_run

# A network is trained, exported and loaded in another process.
pytestmark = pytest.mark.slow

PLUGIN = '''
"""Dilated convolutions without any strides."""

from dataclasses import dataclass

import keras

from kits_tf.config.choices import PRESETS
from kits_tf.network.architecture import Architecture


@dataclass(frozen=True)
class Dilated(Architecture):
    filters: tuple[int, ...] = (3, 4)
    source: str = "a test"

    def build(self, num_classes, synchronized=False, class_shares=None):
        image = x = keras.Input((None, None, None, 1))
        for i, filters in enumerate(self.filters):
            x = keras.layers.Conv3D(filters, 3, dilation_rate=2**i, padding="same", activation="relu")(x)
        return keras.Model(image, keras.layers.Conv3D(num_classes, 1, dtype="float32")(x))


PRESETS.register("dilated")(Dilated())
'''
# A network is trained, exported and loaded in another process.
pytestmark = pytest.mark.slow

MODULE = "a_family_of_this_test"
PLUGINS_VARIABLE = "KITS_TF_PLUGINS"  # of base.registry


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / f"{MODULE}.py").write_text(PLUGIN)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    PRESETS._things.pop("dilated", None)
    os.environ.pop(PLUGINS_VARIABLE, None)


@pytest.fixture(scope="module")
def family_run(plugin: Path, records_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of such a network, as a command line trains it."""
    root = tmp_path_factory.mktemp("families")
    text = to_flagfile(train_settings(records_dir, root / "run", average_decay=0.5), "train")
    lines = [line for line in text.splitlines() if not line.startswith(("--preset", "--filters", "--dropout", "--run"))]
    (root / "some.flags").write_text("\n".join(lines))
    arguments = [f"--flagfile={root}/some.flags", f"--run_dir={root}/run", "--preset=dilated", "--filters=2,3"]
    settings, _ = train.COMMAND.parse([*arguments, f"--plugins={MODULE}"])
    train.main(settings)
    return root / "run"


def test_it_is_trained_and_loaded(family_run: Path) -> None:
    (row,) = read_history(family_run)
    assert 0 < row.train["loss"] < 10
    assert f"--plugins={MODULE}\n" in (family_run / "train.flags").read_text()
    network = load_run(family_run).network
    assert [layer.filters for layer in network.layers if isinstance(layer, keras.layers.Conv3D)] == [2, 3, 4]


def test_it_is_loaded_where_nothing_knows_the_plugin_yet(family_run: Path, plugin: Path) -> None:
    lines = [
        "import sys",
        "from kits_tf.training.run import load_run",
        "try:",
        f"    load_run({str(family_run)!r})",
        "except ValueError as error:",
        "    print(error)",
        f"sys.path.insert(0, {str(plugin)!r})",
        f"print(len(load_run({str(family_run)!r}).network.layers))",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert f"--plugins: expected a module that can be imported, got {MODULE}" in first
    assert second == "4"


def test_it_predicts_and_is_exported(family_run: Path, data_dir: Path, tmp_path: Path) -> None:
    scan = str(data_dir / "case_00003" / "imaging.nii.gz")
    predict.main(predict.Predict(model=str(family_run), output_dir=str(tmp_path / "masks")), [scan])
    (mask,) = (tmp_path / "masks").glob("*.nii.gz")
    assert mask.stat().st_size > 0
    export.main(export.Export(run_dir=str(family_run), export_dir=str(tmp_path / "models"), calibrate=False))
    (version,) = (tmp_path / "models").iterdir()
    assert "serving_default" in tf.saved_model.load(str(version)).signatures


def test_it_is_described_and_drawn(family_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    network = NetworkSettings(preset="dilated")
    settings = summary.Summary(network=network, patch_size_zyx=(8, 8, 8), graph_png=str(tmp_path / "network.png"))
    summary.main(settings)
    said = capsys.readouterr().out
    assert "source: a test" in said and "receptive field: 7,7,7 voxels z,y,x" in said
    assert (tmp_path / "network.png").read_bytes().startswith(b"\x89PNG")


def test_what_it_has_not_is_refused(family_run: Path) -> None:
    with pytest.raises(InputError, match="--dropout: expected no such flag with --preset=dilated, whose network has"):
        make_architecture(NetworkSettings(preset="dilated", dropout=0.5))
    dilated = make_architecture(NetworkSettings(preset="dilated", filters=(5,)))
    assert dilated == replace(PRESETS["dilated"], filters=(5,))
    with pytest.raises(InputError, match="--rematerialize: expected another network, Dilated has no parts for it"):
        dilated.check_training((8, 8, 8), rematerialize=True)
    dilated.check_training((7, 8, 9), rematerialize=False)
