from pathlib import Path

import matplotlib.image
import pytest

from kits_tf import summary
from kits_tf.base.errors import InputError
from kits_tf.config import NetworkSettings

TINY = {"filters": (4, 8), "blocks": (1,), "decoder_convolutions": (1,)}


def test_prints_what_the_network_is_and_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "pictures" / "tiny.png"
    settings = summary.Summary(
        network=NetworkSettings(**TINY, attention=True), patch_size_zyx=(16, 24, 32), batch_size=2, graph_png=str(path)
    )
    summary.main(settings)
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split("  ")[0]: line.split() for line in lines}
    assert rows["bottom_1_conv"] == ["bottom_1_conv", "Conv3D", "8,12,16,8", "864", "0.0"]  # 27 x 4 x 8
    assert rows["decoder0_skip"] == ["decoder0_skip", "Concatenate", "16,24,32,8"]
    # Two gates over 4 filters and the share; the convolutions, norms, transposed convolution and the last layer.
    of_gate, convolutions, norms = 2 * (4 * 2 + 2) + (2 + 1), 27 * (4 + 4 * 8 + 8 * 4), 4 * (4 + 8 + 4)
    parameters = of_gate + convolutions + norms + (8 * 8 * 4 + 4) + (4 * 4 + 4)
    assert rows["all"][:2] == ["all", f"{parameters:,}"]
    # 3 voxels in the decoder come from 2 coarser ones, 4 with the convolution there, of 8 voxels, 10 with the first.
    assert "receptive field: 10,10,10 voxels z,y,x" in lines
    float32, half = (int(number) for number in rows["tensors alive in a training step"][-2:])
    assert 0 < half < float32
    assert rows["variables: weights and Adam's moments"][-2:] == ["0", "0"]  # 13 kB
    height, width, _ = matplotlib.image.imread(path).shape
    assert (width, height) == (1210, 495) and f"wrote {path}" in lines


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_size_zyx": (16, 24, 33)}, "--patch_size_zyx: expected multiples of 2,2,2"),
        ({"graph_png": "."}, "^.: expected a file to write, found a folder$"),
        ({"rematerialize": True}, "--rematerialize: expected --norm=instance or none"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        summary.main(summary.Summary(network=NetworkSettings(**TINY), **changes))
