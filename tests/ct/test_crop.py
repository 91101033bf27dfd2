import nibabel as nib
import numpy as np
from conftest import affine_of
from hypothesis import given
from hypothesis import strategies as st

from kits_tf.ct.crop import Crop, body_crop, no_crop
from kits_tf.ct.geometry import Grid

HU = np.full((10, 20, 30), -1000, np.int16)
HU[2:9, 5:15, 8:25] = 40


def test_the_box_holds_the_body_and_nothing_else() -> None:
    assert body_crop(HU, None) == Crop((2, 5, 8), (7, 10, 17), (10, 20, 30))


def test_a_table_is_left_out_but_no_label_is() -> None:
    hu, labels = HU.copy(), np.zeros(HU.shape, np.uint8)
    hu[:, 18, 5:28] = 200
    labels[4, 10, 10] = 1
    assert body_crop(hu, labels) == Crop((2, 5, 8), (7, 10, 17), (10, 20, 30))
    labels[1, 10, 28] = 2
    assert body_crop(hu, labels) == Crop((1, 5, 8), (8, 10, 21), (10, 20, 30))


def test_without_a_body_nothing_is_cropped() -> None:
    air = np.full((3, 4, 5), -1000, np.int16)
    assert body_crop(air, None) == no_crop((3, 4, 5)) == Crop((0, 0, 0), (3, 4, 5), (3, 4, 5))


@given(st.data())
def test_undoing_gives_the_whole_array_with_every_voxel_in_its_place(data: st.DataObject) -> None:
    full = tuple(data.draw(st.integers(1, 6)) for _ in range(3))
    start = tuple(data.draw(st.integers(0, n - 1)) for n in full)
    shape = tuple(data.draw(st.integers(1, n - s)) for n, s in zip(full, start, strict=True))
    crop = Crop(start, shape, full)
    array = np.arange(1, 1 + np.prod(full), dtype=np.int32).reshape(full)
    whole = crop.undo(crop.of(array), outside=0)
    assert whole.shape == full
    assert np.count_nonzero(whole) == np.prod(shape)
    np.testing.assert_array_equal(whole[whole > 0], array[whole > 0])
    grid = Grid(full, affine_of("RAS", (0.7, 0.8, 3.0)))
    first = nib.affines.apply_affine(crop.grid(grid).affine, (0, 0, 0))
    np.testing.assert_allclose(first, nib.affines.apply_affine(grid.affine, start))
