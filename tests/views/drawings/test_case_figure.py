import io
from dataclasses import replace

import matplotlib
import matplotlib.colors
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from PIL import Image

from kits_tf.analysis.case_masks import CaseMasks
from kits_tf.base.errors import InputError
from kits_tf.base.files import MADE_BY
from kits_tf.ct.labels import LATERALITY
from kits_tf.views.drawings import canvas, style
from kits_tf.views.drawings.case_figure import case_figure
from kits_tf.views.drawings.montage import COLUMNS, GIF_HEIGHT, GIF_WIDTH, ROWS, animation, montage

SPACING = (4.0, 1.0, 2.0)


def case(*, with_truth: bool = True) -> CaseMasks:
    """Two kidneys and a tumor, of which the prediction misses the lower half, 40 mm along y."""
    hu = np.broadcast_to(np.arange(-100, 200, 10, np.int16)[:, None, None], (30, 120, 80))
    truth = np.zeros(hu.shape, np.uint8)
    truth[8:22, 30:60, 10:25] = 1
    truth[8:22, 30:60, 55:70] = 2
    truth[10:14, 40:80, 55:65] = 3
    predicted = truth.copy()
    predicted[:, 60:][predicted[:, 60:] == 3] = 0
    return CaseMasks(
        case_id="case_00007",
        hu=hu,
        truth=truth if with_truth else None,
        predicted=predicted,
        scheme=LATERALITY,
        spacing_mm=SPACING,
    )


def test_a_row_for_each_landmark_all_at_one_scale() -> None:
    figure = case_figure(case())
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:9] == [
        f"{name}, {plane}"
        for name, planes in (
            ("largest tumor", ("axial 11", "coronal 59", "sagittal 59")),
            ("right kidney", ("axial 14", "coronal 44", "sagittal 17")),
            ("left kidney", ("axial 15", "coronal 43", "sagittal 63")),
        )
        for plane in planes
    ]
    assert titles[9:] == [f"{m}\n{v}" for m in ("truth", "prediction") for v in ("from the front", "from the left")]
    for ax in figure.axes[:9]:
        left, right = ax.get_xlim()
        lower, upper = ax.get_ylim()
        assert right - left == pytest.approx(150) and lower - upper == pytest.approx(150)  # mm; rows run downwards
        assert ax.get_aspect() == 1
    axial = figure.axes[0]
    assert axial.get_xlim()[0] + 75 == pytest.approx((59 + 0.5) * 2)  # the landmark in the middle
    assert [text.get_text() for text in axial.texts][:4] == ["R", "L", "A", "P"]
    assert figure.axes[2].texts[0].get_text() == "A" and figure.axes[1].texts[2].get_text() == "S"


def test_title_and_legend() -> None:
    figure = case_figure(case())
    truth, predicted = case().truth, case().predicted
    tumor = 2 * (predicted == 3).sum() / ((truth == 3).sum() + (predicted == 3).sum())
    assert f"tumor {tumor:.3f}" in figure.get_suptitle() and "case_00007" in figure.get_suptitle()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    structures, lines = ["right kidney", "left kidney", "tumor"], ["truth", "prediction"]
    assert texts == [*structures, *lines, "missed", "false", "other structure"]
    solid, dashed = figure.legends[0].get_lines()
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")


def test_outlines_run_around_structures_and_errors_are_filled() -> None:
    axial = case_figure(case()).axes[0]
    lines = [c for c in axial.collections if isinstance(c, QuadContourSet | PathCollection)]
    tumor = [c for c in lines if matplotlib.colors.to_hex(c.get_edgecolor()[0]).upper() == style.COLORS["tumor"]]
    solid, dashed = (np.concatenate([path.vertices for path in c.get_paths()]) for c in tumor)
    # Pixels of 2 mm along x from 55 to 65, 1 mm along y from 40; half way between centers of pixels.
    assert solid.min(axis=0) == pytest.approx((110, 40))
    assert solid.max(axis=0) == pytest.approx((130, 80))
    assert dashed.max(axis=0) == pytest.approx((130, 60))
    errors = axial.images[1].get_array()
    assert (errors == 1).sum() == 20 * 10 and not (errors > 1).any()
    colors = axial.images[1].cmap(axial.images[1].norm(np.array([1, 2, 3])))
    assert [matplotlib.colors.to_hex(c).upper() for c in colors] == list(style.ERROR_COLORS.values())
    (hatched,) = [c for c in lines if isinstance(c, QuadContourSet) and c.filled]
    assert hatched.hatches == [style.ERROR_HATCHES["missed"]]
    assert matplotlib.colors.to_hex(hatched.get_edgecolor()[0]).upper() == style.ERROR_COLORS["missed"]
    (missed,) = hatched.get_paths()
    assert missed.vertices.min(axis=0) == pytest.approx((110, 60)) and missed.vertices.max(axis=0) == pytest.approx(
        (130, 80)
    )


def test_letters_bars_and_outlines_have_a_dark_rim() -> None:
    axial, front = (case_figure(case()).axes[i] for i in (0, 9))
    for drawn in (*axial.texts, *axial.lines, *axial.collections[1:], *front.texts, *front.lines):
        (rim,) = drawn.get_path_effects()
        assert rim._gc["foreground"] == "black" and rim._gc["linewidth"] > 2, drawn
    assert [text.get_text() for text in axial.texts] == ["R", "L", "A", "P", "5 cm"]


def test_the_bar_lies_below_the_surface() -> None:
    front, left, *_ = case_figure(case()).axes[9:]
    (bar,) = front.lines
    _, _, picture_bottom, _ = front.images[0].get_extent()
    assert bar.get_xdata()[1] - bar.get_xdata()[0] == 50  # mm
    below = bar.get_ydata()[0]
    assert picture_bottom < below < front.get_ylim()[0] and front.get_ylim() == left.get_ylim()


def test_without_truth_the_prediction_stands_alone() -> None:
    figure = case_figure(case(with_truth=False))
    assert figure.get_suptitle() == "case_00007   prediction" and len(figure.axes[0].images) == 1
    assert [ax.get_title() for ax in figure.axes[9:]] == ["prediction\nfrom the front", "prediction\nfrom the left"]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["right kidney", "left kidney", "tumor", "prediction"]


def test_an_empty_case_shows_the_middle() -> None:
    empty = np.zeros((6, 20, 20), np.uint8)
    nothing = replace(case(), hu=empty.astype(np.int16), truth=empty, predicted=empty)
    figure = case_figure(nothing)
    assert figure.axes[0].get_title() == "middle of the scan, axial 3" and "tumor 1.000" in figure.get_suptitle()
    canvas.webp(figure, 300)
    assert len(montage(nothing).axes) == COLUMNS * ROWS


THIN = [(1, 120, 80), (30, 1, 80), (30, 120, 1), (2, 2, 2), (1, 1, 1), (1, 120, 1)]


@pytest.mark.parametrize("shape", THIN)
@pytest.mark.parametrize("fill", [None, 0, 3])
def test_thin_scans_and_masks_that_are_empty_or_everything_are_drawn(shape: tuple, fill: int | None) -> None:
    whole = case()
    middle = tuple(slice(12 if size < 30 else 0, 12 + size if size < 30 else None) for size in shape)
    part = (middle[0], slice(50, 51) if shape[1] == 1 else middle[1], slice(60, 61) if shape[2] == 1 else middle[2])
    truth = whole.truth[part]
    predicted = whole.predicted[part] if fill is None else np.full_like(truth, fill)
    thin = replace(whole, hu=whole.hu[part], truth=truth, predicted=predicted)
    assert thin.hu.shape == shape
    width, height = canvas.webp_size(canvas.webp(case_figure(thin), 300))
    assert width == 300 and height < 1200
    width, height = canvas.webp_size(canvas.webp(montage(thin), 300))
    assert width == 300 and height < 1500
    picture = Image.open(io.BytesIO(animation(thin)))
    assert GIF_WIDTH <= picture.width <= 4 * GIF_HEIGHT
    assert picture.height in (GIF_HEIGHT + 27, GIF_HEIGHT + 44)  # a legend of one row or of two


def test_an_animation_says_its_warnings_below_each_plane() -> None:
    plain, warned = (
        Image.open(io.BytesIO(animation(replace(case(), warnings=warnings))))
        for warnings in ((), ("The network was trained on phantoms: do not use it for patients.",))
    )
    assert warned.width == plain.width and warned.n_frames == plain.n_frames
    lines = 2 if plain.width < 500 else 1
    assert warned.height - plain.height == pytest.approx(lines * 14, abs=6)
    lit = np.asarray(warned.convert("L"))[GIF_HEIGHT:] > 128
    assert lit.any(axis=1).sum() > (np.asarray(plain.convert("L"))[GIF_HEIGHT:] > 128).any(axis=1).sum()


def test_a_single_row_is_outlined_along_its_edges() -> None:
    ax = Figure().subplots()
    canvas.outline(ax, np.array([[0, 1, 1, 0, 0]], np.uint8), LATERALITY, (4.0, 1.0))
    (drawn,) = ax.collections
    (path,) = drawn.get_paths()
    # By hand: halfway between the centers of voxels in and outside, with 4 mm rows and 1 mm columns.
    assert path.vertices[:, 0].min() == 1 and path.vertices[:, 0].max() == 3
    assert path.vertices[:, 1].min() == 0 and path.vertices[:, 1].max() == 4


def test_pictures_do_not_depend_on_a_matplotlibrc() -> None:
    def drawn() -> bytes:
        return canvas.webp(case_figure(case()), 300)

    expected, others = drawn(), {"font.size": 30, "figure.dpi": 20, "savefig.bbox": "tight", "axes.grid": True}
    with matplotlib.rc_context(others):
        assert drawn() == expected
        assert matplotlib.rcParams["font.size"] == 30


def test_what_cannot_be_drawn_is_an_error_of_its_case_alone() -> None:
    errors = {
        TypeError("z has shape (1, 180)"): "^expected a case that can be drawn: TypeError: z has shape",
        InputError("its own words"): "^its own words$",
        OSError("no space"): "^no space$",
    }
    for error, message in errors.items():
        expected = OSError if isinstance(error, OSError) else InputError
        with pytest.raises(expected, match=message), canvas.drawing():
            raise error


def test_a_webp_has_the_width_that_was_asked_for() -> None:
    picture = Image.open(io.BytesIO(canvas.webp(case_figure(case()), 500)))
    assert picture.format == "WEBP" and picture.width == 500 and np.asarray(picture).std() > 20


def test_a_montage_has_planes_from_the_first_to_the_last_with_a_structure() -> None:
    titles = [ax.get_title() for ax in montage(case()).axes if ax.get_title()]
    assert titles[0] == "axial 8" and titles[-1] == "axial 21" and len(titles) == 14
    first = montage(case()).axes[0].images[0].get_array()
    # With a margin of 30 mm: rows 0..110, columns 0..80 of 2 mm.
    assert first.shape == (110, 80, 3)


def test_an_animation_has_a_frame_for_each_plane() -> None:
    picture = Image.open(io.BytesIO(animation(case())))
    assert (picture.n_frames, picture.info["duration"], picture.info["comment"]) == (14, 100, MADE_BY.encode())
    assert picture.size == (
        GIF_WIDTH,
        GIF_HEIGHT + 44,
    )  # planes of 349 pixels in the middle, above a legend of two rows
    lit = np.flatnonzero(np.asarray(picture.convert("RGB"))[:GIF_HEIGHT].any(axis=(0, 2)))
    assert (lit[0], lit[-1] + 1 - lit[0]) == ((GIF_WIDTH - 349) // 2, round(GIF_HEIGHT * 80 * 2.0 / 110))
    picture.seek(3)  # with a tumor, which the other frames do not have
    frame = np.asarray(picture.convert("RGB")).astype(int)
    tumor = abs(frame[:GIF_HEIGHT] - 255 * np.array(style.rgb("tumor"))).max(axis=-1) < 25  # its outline
    assert tumor.any()
    for name in LATERALITY.classes[1:]:  # in the legend, as they are
        assert (abs(frame[GIF_HEIGHT:] - np.round(255 * np.array(style.rgb(name)))).max(axis=-1) == 0).sum() > 50, name
