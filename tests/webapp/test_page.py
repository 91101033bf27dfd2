"""The page, in a browser: what a person sees and does."""

import glob
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import PATIENCE_MS, go_to
from conftest import OF_PHANTOMS
from PIL import Image
from playwright.sync_api import Browser, Download, FilePayload, Locator, Page, Route, expect
from pydicom.uid import generate_uid
from series import write_series

from kits_tf import app, config, measure, predict

# A real scan takes minutes to segment and, drawn without a GPU, to show.
REAL_SCAN_MS = 600_000
# Of all visible texts: WCAG 2.2's contrast ratio of text and what lies behind it.
LOWEST_CONTRAST = """() => {
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    const color = getComputedStyle(element).backgroundColor;
    return color !== "rgba(0, 0, 0, 0)" || !element.parentElement ? color : behind(element.parentElement);
  };
  const texts = [...document.querySelectorAll("p, th, td, h2, h3, label, .state, a, button")];
  return Math.min(...texts.filter(each => each.offsetParent).map(each => {
    const [a, b] = [light(getComputedStyle(each).color), light(behind(each))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
}"""


@pytest.fixture
def open_page(browser: Browser, url: str) -> Iterator[Callable[..., Page]]:
    """Opens the page for a new user; at the end nothing may have been said on the console, or asked of others."""
    said: list[str] = []
    pages: list[Page] = []

    def open_for_user(**context: object) -> Page:
        page = browser.new_context(base_url=url, **context).new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on(
            "request", lambda asked: None if asked.url.startswith((url, "blob:", "data:")) else said.append(asked.url)
        )
        go_to(page, url)
        pages.append(page)
        return page

    yield open_for_user
    for page in pages:
        page.context.close()
    refused = "Failed to load resource: the server responded with a status of 4"
    assert [text for text in said if "niivue" not in text.lower() and refused not in text] == []


def send(page: Page, *files: Path | FilePayload) -> Locator:
    """Chooses files and returns the last line of the list."""
    page.locator("#file").set_input_files(list(files))
    return page.locator("#list li").last


def picture(page: Page) -> np.ndarray:
    """Returns what the viewer shows once it was drawn again."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return np.array(Image.open(io.BytesIO(page.locator("#canvas").screenshot())).convert("RGB")).astype(int)


def picture_where(page: Page, is_so: Callable[[np.ndarray], bool]) -> np.ndarray:
    """Returns what the viewer shows as soon as something is so."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while not is_so(shown := picture(page)):
        assert time.monotonic() < end, "the viewer does not show it"
    return shown


def colored(pixels: np.ndarray) -> int:
    """Returns how many pixels are not gray."""
    return int((np.ptp(pixels, axis=-1) > 20).sum())


def open_scan(page: Page, scan: Path) -> None:
    line = send(page, scan)
    expect(line).to_have_class("done", timeout=REAL_SCAN_MS)
    expect(page.locator("#findings")).to_be_visible()
    expect(page.locator("#pen output")).to_have_text("", timeout=REAL_SCAN_MS)


def stroke(page: Page) -> None:
    """Draws with the pen, from the middle of the viewer."""
    box = page.locator("#canvas").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 30, middle[1] + 10, steps=5)
    page.mouse.up()


def cells(page: Page, row: str) -> list[str]:
    """Returns a row of the table of kidneys."""
    return page.locator("#kidneys tbody tr", has_text=row).first.locator("td").all_text_contents()


# A phantom; and the files of the pattern KITS_TF_SCANS, as a real scan.
@pytest.mark.parametrize("named", [None, *sorted(glob.glob(os.environ.get("KITS_TF_SCANS", "")))])
def test_a_dropped_scan_is_shown_as_predict_and_measure_have_it(
    open_page, scan: Path, predicted: Path, run_dir: Path, tmp_path: Path, named: str | None
) -> None:
    scan, mask, page = Path(named) if named else scan, predicted, open_page()
    open_scan(page, scan)
    shown = picture_where(page, lambda pixels: colored(pixels) > 100)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 50, "the canvas is blank"
    if named:
        predict.main(predict.Predict(model=str(run_dir), output_dir=str(tmp_path), labels="laterality"), [named])
        (mask,) = tmp_path.glob("*.nii.gz")
    with page.expect_download() as download:
        page.get_by_text("mask, NIfTI").click()
    assert download.value.suggested_filename == "imaging.nii.gz"
    assert Path(download.value.path()).read_bytes() == mask.read_bytes()
    measure.main(measure.Measure(output_dir=str(tmp_path), image=str(scan)), [str(mask)])
    (measured,) = json.loads((tmp_path / "measurements.json").read_text()).values()
    for row, name in (("volume, mL", "volume_ml"), ("length, mm", "length_mm"), ("mean HU", "mean_hu")):
        known = [kidney[name] for kidney in measured["kidneys"]]
        assert cells(page, row) == ["\N{EN DASH}" if value is None else f"{value:.0f}" for value in known]
    expect(page.locator("#lesions tbody tr")).to_have_count(max(1, len(measured["lesions"])))
    tables = ["kidneys, CSV", "lesions, CSV"] if measured["lesions"] else ["kidneys, CSV"]
    links = page.locator("#downloads a").all_text_contents()
    assert links == ["mask, NIfTI", *tables, "measurements and pictures, PDF"]
    # Structures go and come.
    for box in page.locator("#structures input").all():
        box.uncheck()
    picture_where(page, lambda pixels: colored(pixels) < colored(shown) / 10)


def test_a_correction_is_measured_and_can_be_undone(open_page, scan: Path) -> None:
    page = open_page()
    open_scan(page, scan)
    before = page.locator("#kidneys").inner_text()
    page.get_by_label("View").select_option("Axial")
    page.get_by_role("button", name="Correct the mask").click()
    page.locator("[name=label]").select_option("erase")
    page.locator("[name=size]").select_option("15")
    before_pen = colored(picture(page))

    stroke(page)
    erased = before_pen - colored(picture_where(page, lambda pixels: before_pen - colored(pixels) > 1000))
    for _ in range(2):  # of one stroke: the second time there is nothing to undo
        page.get_by_role("button", name="Undo").click()
        # Not zero: the crosshair has moved.
        picture_where(page, lambda pixels: abs(colored(pixels) - before_pen) < erased / 4)
    expect(page.locator("#stale")).to_have_text("")
    stroke(page)
    expect(page.locator("#stale")).to_contain_text("These are the numbers from before.")
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    for button in ("imaging", "Remove imaging", "Discard"):
        page.get_by_role("button", name=button, exact=True).click()
    assert asked == ["Give up what you have changed of this mask?"] * 3
    # Another scan that comes meanwhile does not open: the strokes would be lost.
    send(page, scan)
    expect(page.locator("#list li")).to_have_class(["done", "done"])
    expect(page.locator("#view-heading")).to_have_text("imaging")
    page.get_by_role("button", name="Measure the corrected mask").click()
    expect(page.locator("#corrected")).to_be_visible()
    expect(page.locator("#stale")).to_have_text("")
    with page.expect_download() as download:
        page.get_by_text("corrected mask, NIfTI").click()
    assert download.value.suggested_filename == "imaging_corrected.nii.gz"
    page.get_by_role("button", name="Remove imaging", exact=True).click()
    assert asked[3:] == ["You have corrected this mask. Remove it with its scan?"]
    expect(page.locator("#list li")).to_have_count(2)  # the question was dismissed
    assert page.locator("#kidneys").inner_text() != before
    expect(page.get_by_role("button", name="Correct the mask")).to_be_visible()


def test_a_download_has_the_strokes_that_were_not_measured_yet(open_page, scan: Path, tmp_path: Path) -> None:
    page = open_page()
    open_scan(page, scan)
    page.get_by_label("View").select_option("Axial")
    with page.expect_download() as download:
        page.get_by_text("mask, NIfTI").click()
    before = labels_in(download.value, tmp_path)
    page.locator("#canvas").focus()
    for key in "e3":
        page.keyboard.press(key)
    stroke(page)
    expect(page.locator("#stale")).to_contain_text("from before")
    page.route("**/mask", lambda route: route.fulfill(status=409, json={"error": "The server is busy."}))
    page.get_by_role("link", name="kidneys, CSV").click()
    expect(page.locator("#refused")).to_have_text("kidneys, CSV: The server is busy.")
    expect(page.locator("#stale")).to_contain_text("from before")
    page.unroute("**/mask")
    stroke(page)  # the pen still draws
    with page.expect_download() as download:
        page.get_by_role("link", name="kidneys, CSV").click()
    assert download.value.suggested_filename == "imaging_corrected_kidneys.csv"
    expect(page.locator("#stale")).to_have_text("")
    expect(page.locator("#corrected")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_text("corrected mask, NIfTI").click()
    after = labels_in(download.value, tmp_path)
    painted = after != before
    assert painted.sum() > 10 and set(after[painted]) == {3}


def labels_in(download: Download, folder: Path) -> np.ndarray:
    """Returns the labels of a mask that was downloaded."""
    path = folder / download.suggested_filename
    download.save_as(path)
    return np.asarray(nib.load(path).dataobj)


def test_a_click_on_a_lesion_moves_the_crosshair_there(open_page, scan: Path) -> None:
    page = open_page()
    open_scan(page, scan)
    # The tiny network finds what it finds: the mask that it is corrected to has one lesion.
    image = nib.load(scan)
    labels = np.zeros(image.shape, np.uint8)
    labels[2:8, 3:12, 4:12], labels[4:6, 6:8, 6:8] = 1, 3
    key = page.request.get("/api/scans").json()["scans"][0]["key"]
    corrected = page.request.put(f"/api/scans/{key}/mask", data=nib.Nifti1Image(labels, image.affine).to_bytes())
    assert corrected.ok
    page.locator("#list .name button").click()
    expect(page.locator("#corrected")).to_be_visible()
    expect(page.locator("#pen output")).to_have_text("")
    lesions = page.locator("#lesions button")
    expect(lesions).to_have_count(1)
    page.locator("#canvas").click(position={"x": 20, "y": 20})
    lesions.first.click()
    expect(page.locator("#place")).to_contain_text("tumor")
    # The whole table is seen, mean HU at its right end.
    for width, height in ((1280, 720), (1024, 768), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        table = page.locator(".scrolled")
        assert table.evaluate("each => each.scrollWidth - each.clientWidth") == 0, width
        assert lesions.first.bounding_box()["height"] < 60, "a name of two lines"


def test_the_line_below_the_viewer_has_the_label_that_was_just_painted(open_page, scan: Path) -> None:
    page = open_page()
    open_scan(page, scan)
    page.get_by_label("View").select_option("Axial")
    page.locator("#canvas").focus()
    page.keyboard.press("e")
    for key, name in (("3", "tumor"), ("1", "right kidney"), ("2", "left kidney")):
        page.locator("#canvas").focus()
        page.keyboard.press(key)
        stroke(page)
        expect(page.locator("#place")).to_contain_text(name)
    page.keyboard.press("0")
    stroke(page)
    expect(page.locator("#place")).not_to_contain_text("kidney")
    for _ in range(4):
        expect(page.locator("#stale")).to_contain_text("from before")
        page.keyboard.press("Control+z")
    expect(page.locator("#stale")).to_have_text("")
    page.keyboard.press("]")
    expect(page.locator("[name=size]")).to_have_value("9")


def test_of_several_scans_the_first_that_is_done_opens(open_page, scan: Path) -> None:
    page = open_page()
    photo = {"name": "photo.nii.gz", "mimeType": "application/gzip", "buffer": b"no scan"}
    page.locator("#file").set_input_files([photo])
    expect(page.locator("#list li")).to_have_class("failed")
    names = ("broken.nii.gz", "first.nii.gz", "second.nii.gz")
    contents = (b"no scan", scan.read_bytes(), scan.read_bytes())
    page.locator("#file").set_input_files(
        [
            {"name": name, "mimeType": "application/gzip", "buffer": content}
            for name, content in zip(names, contents, strict=True)
        ]
    )
    expect(page.locator("#view-heading")).to_have_text("first")
    expect(page.locator("#welcome")).to_be_hidden()
    expect(page.locator("#list li")).to_have_class(["failed", "failed", "done", "done"])
    expect(page.locator("#view-heading")).to_have_text("first")  # the second does not take its place


def test_nothing_of_the_scan_before_is_left(open_page, scan: Path, tmp_path: Path) -> None:
    image = nib.load(scan)
    flat = nib.Nifti1Image(np.full(image.shape, -77, np.int16), image.affine)
    flat.to_filename(tmp_path / "flat.nii.gz")
    page = open_page()
    open_scan(page, scan)
    page.get_by_role("button", name="Correct the mask").click()
    page.get_by_role("button", name="Discard").click()
    expect(page.locator("#pen output")).to_have_text("Discarded.")
    place = page.locator("#place").inner_text()
    # While the next scan is on its way, the line is empty and there is nothing to correct.
    held: list[Route] = []
    page.route("**/scan.nii.gz", lambda route: held.append(route))
    line = send(page, tmp_path / "flat.nii.gz")
    line.get_by_role("button", name="Segment flat anyway").click()
    expect(page.locator("#view-heading")).to_have_text("flat")
    expect(page.locator("#place")).to_have_text("")
    expect(page.locator("#structures label")).to_have_count(0)
    expect(page.get_by_role("button", name="Correct the mask")).to_be_disabled()
    held[0].continue_()
    expect(page.locator("#pen output")).to_have_text("")
    expect(page.locator("#place")).to_contain_text("-77 HU")
    expect(page.get_by_role("button", name="Correct the mask")).to_be_enabled()
    assert place and "-77 HU" not in place
    # Of one that cannot be fetched there is no place either, nor is it still loading.
    page.unroute("**/scan.nii.gz")
    page.route("**/scan.nii.gz", lambda route: route.fulfill(status=404, json={"error": "It is gone."}))
    page.get_by_role("button", name="imaging", exact=True).click()
    expect(page.locator("#problem")).to_have_text("It is gone.")
    expect(page.locator("#pen output")).to_have_text("")
    expect(page.locator("#place")).to_have_text("")


def test_a_case_s_folder_is_one_scan_with_its_mask_over_it(open_page, data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(data_dir / "case_00001", tmp_path / "case_00001")
    (tmp_path / "case_00001/notes.txt").write_text("nothing of the page's")
    page = open_page()
    page.locator("#folder").set_input_files(tmp_path)
    expect(page.locator("#list li")).to_have_class("done")
    expect(page.locator("#list .name")).to_have_text("case_00001")
    expect(page.locator("#passed-over")).to_have_text(
        "case_00001: only imaging.nii.gz and segmentation.nii.gz are used, 1 other file is not."
    )
    expect(page.locator("#view-heading")).to_have_text("case_00001")
    page.locator("[name=mask]").select_option("that came beside the scan")
    expect(page.locator("#structures label")).to_have_text(["right kidney", "left kidney", "tumor", "cyst"])
    # What the viewer names under the crosshair is the true mask's, in the middle of the first kidney that it has.
    true = nib.load(data_dir / "case_00001/segmentation.nii.gz")
    voxel = np.argwhere(np.asarray(true.dataobj) == 1)[0]
    place = (true.affine @ [*voxel, 1])[:3].tolist()
    page.evaluate("async place => (await import('/files/viewer.js')).goTo(place)", place)
    expect(page.locator("#place")).to_contain_text("kidney")


def test_the_example_is_one_click_away_and_opens(browser: Browser, fake_dir: Path, scan: Path) -> None:
    settings = app.App(model=str(fake_dir), page_port=0, page=config.PageSettings(example=str(scan)))
    with app.serve_page(settings) as url:
        page = browser.new_context().new_page()
        go_to(page, url)
        page.get_by_role("button", name="Try it with an example").click()
        expect(page.locator("#view-heading")).to_have_text("imaging")
        expect(page.locator("#welcome")).to_be_hidden()
        page.get_by_role("button", name="Remove imaging").click()
        expect(page.locator("#welcome")).to_be_visible()
        page.context.close()


def test_a_dicom_seg_that_cannot_be_made_is_no_link(open_page, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "series", [float(25 * i) for i in range(12)], SOPInstanceUID=None)
    page = open_page()
    expect(send(page, *sorted(folder.iterdir()))).to_have_class("done")
    expect(page.locator("#downloads li").nth(1)).to_have_text(
        "DICOM SEG: cannot be made (expected SOPInstanceUID in every slice, found slices without). "
        "Take the NIfTI file instead."
    )
    assert "SEG" not in " ".join(page.locator("#downloads a").all_text_contents())


def test_a_download_that_is_refused_says_so_on_the_page(open_page, scan: Path) -> None:
    page = open_page()
    open_scan(page, scan)
    key = page.request.get("/api/scans").json()["scans"][0]["key"]
    page.request.delete(f"/api/scans/{key}")
    page.get_by_text("mask, NIfTI").click()
    expect(page.locator("#refused")).to_have_text("mask, NIfTI: there is no such scan; it may have been removed")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_to_remark(open_page, scan: Path, scheme: str) -> None:
    page = open_page(color_scheme=scheme, viewport={"width": 1280, "height": 720})
    assert remarks(page) == []
    open_scan(page, scan)
    assert remarks(page) == []
    page.get_by_role("button", name="Correct the mask").click()
    page.locator("#keys summary").click()
    assert remarks(page) == []


def remarks(page: Page) -> list[str]:
    """Returns what axe finds against WCAG and good practice."""
    violations = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html']}" for each in violations for node in each["nodes"]]


@pytest.mark.parametrize("size", [(1280, 720), (1024, 768)])
def test_the_viewer_has_most_of_a_small_screen(open_page, scan: Path, size: tuple[int, int]) -> None:
    width, height = size
    page = open_page(viewport={"width": width, "height": height})
    open_scan(page, scan)
    assert page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [*size]
    box = page.locator("#canvas").bounding_box()
    assert box["height"] > 0.75 * height and box["width"] > 0.45 * width
    tools = page.get_by_role("button", name="Correct the mask").bounding_box()
    assert tools["y"] + tools["height"] < height and tools["x"] > box["x"] + box["width"], "beside it, in sight"
    page.get_by_role("button", name="Correct the mask").click()
    page.get_by_role("button", name="Enlarge").click()
    box = page.locator("#canvas").bounding_box()
    assert box["width"] > 0.65 * width and page.locator("#look select[name=view]").input_value() == "Axial"
    expect(page.get_by_role("button", name="Measure the corrected mask")).to_be_visible()
    expect(page.locator("#findings")).to_be_hidden()
    page.get_by_role("button", name="Discard").click()
    assert page.locator("#canvas").bounding_box()["width"] > 0.95 * width
    page.get_by_role("button", name="Back to the tools").click()
    assert page.locator("#look select[name=view]").input_value() == "Multiplanar"


@pytest.mark.parametrize("size", [(390, 844), (768, 1024)])
def test_held_upright_the_viewer_comes_before_the_scans(open_page, scan: Path, size: tuple[int, int]) -> None:
    page = open_page(viewport={"width": size[0], "height": size[1]})
    assert places(page, "#scans", "#welcome") == ["#scans", "#welcome"]
    open_scan(page, scan)
    order = ["#view", "#tools", "#scans", "#findings"]
    assert places(page, *reversed(order)) == order
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    assert page.locator("#canvas").bounding_box()["y"] < size[1] / 4


def places(page: Page, *parts: str) -> list[str]:
    """Returns parts of the page from top to bottom."""
    return sorted(parts, key=lambda part: page.locator(part).bounding_box()["y"])


def test_of_several_series_one_is_chosen(open_page, tmp_path: Path) -> None:
    files = []
    for words in ("arterial", "venous"):
        changes = {"SeriesInstanceUID": generate_uid(), "SeriesDescription": words}
        files += sorted(write_series(tmp_path / words, [float(25 * i) for i in range(12)], **changes).iterdir())
    for number, file in enumerate(files):
        file.rename(tmp_path / f"{number}.dcm")
    page = open_page()
    line = send(page, *sorted(tmp_path.glob("*.dcm")))
    expect(line).to_contain_text("has several series; which one?")
    line.get_by_role("button", name="venous, 12 slices").click()
    expect(line).to_have_class("done")


def test_what_is_no_scan_is_explained_and_removed(open_page) -> None:
    page = open_page()
    line = send(page, {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": b"no scan"})
    expect(line).to_have_class("failed")
    expect(line).to_contain_text(
        "photo.jpg: expected a NIfTI file (*.nii.gz, *.nii), or a folder or zip file of a DICOM"
    )
    line.get_by_role("button", name="Remove photo.jpg").click()
    expect(page.locator("#list li")).to_have_count(0)


def test_a_scan_that_is_no_ct_is_explained_accepted_and_bears_its_warning(
    open_page, scan: Path, tmp_path: Path
) -> None:
    image = nib.load(scan)
    window = np.clip(np.asarray(image.dataobj), -160, 240)
    nib.save(nib.Nifti1Image(window, image.affine), tmp_path / "window.nii.gz")
    page = open_page()
    line = send(page, tmp_path / "window.nii.gz")
    expect(line).to_have_class("refused")
    expect(line).to_contain_text("expected Hounsfield units, got values -160..240")
    line.get_by_role("button", name="Segment window anyway").click()
    expect(line).to_have_class("done")
    expect(page.locator("#warnings")).to_contain_text("Do not trust these numbers.")
    expect(page.locator("#warnings")).to_contain_text("was a window applied?")
    send(page, scan)  # it opens by itself
    expect(page.locator("#view-heading")).to_have_text("imaging")
    expect(page.locator("#warnings")).to_have_text(f"Do not trust these numbers. {OF_PHANTOMS}")


def test_two_users_have_lists_of_their_own(open_page, scan: Path) -> None:
    one, other = open_page(), open_page()
    expect(send(one, scan)).to_have_class("done")
    other.reload()
    expect(other.locator("#list li")).to_have_count(0)
    one.reload()
    expect(one.locator("#list li")).to_have_count(1)


def test_the_keyboard_does_all(open_page, scan: Path) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    open_scan(page, scan)
    page.locator("#canvas").focus()
    before = page.locator("#place").inner_text()
    page.keyboard.press("PageUp")
    expect(page.locator("#place")).not_to_have_text(before)
    # Every control can be reached, in the order in which it stands.
    controls = page.locator("button:visible, select:visible, input:visible, a:visible, #canvas").count()
    page.locator("#file").focus()
    reached = {page.evaluate("document.activeElement.outerHTML")}
    for _ in range(controls + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.outerHTML"))
    assert len(reached) >= controls


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_and_both_color_schemes(open_page, scan: Path, scheme: str) -> None:
    page = open_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    open_scan(page, scan)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    ratio = page.evaluate(LOWEST_CONTRAST)
    assert ratio >= 4.5, "WCAG 2.2, 1.4.3"
