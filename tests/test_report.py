"""report, in a browser: what a person sees and does."""

import csv
import importlib.util
import io
import itertools
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import PATIENCE_MS, go_to, wait_until_drawn
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from kits_tf import evaluate, report
from kits_tf.base.errors import InputError
from kits_tf.ct.cases import read_labeled
from kits_tf.ct.labels import LATERALITY
from kits_tf.ct.layouts import find_cases
from kits_tf.ct.volume import read_image, write_labels
from kits_tf.views.pages.evaluation_page.plan import MOST_BYTES

NOTE = "Phantoms & <nothing> else"
HD = {"width": 1280, "height": 720}


@pytest.fixture(scope="module")
def masks_dirs(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of masks, evaluated.

    "moved" has the truth moved a little; "better" the truth of the first two cases, without the tumor of the first;
    "last" that of the last case.
    """
    folders = {name: tmp_path_factory.mktemp("masks") / name for name in ("moved", "better", "last")}
    for number, files in enumerate(find_cases(str(data_dir))):
        image = read_image(files.image)
        truth = read_labeled(files, LATERALITY).labels
        masks = {"moved": np.roll(truth, number % 3, axis=2)}
        if number < 2:
            masks["better"] = np.where((truth == 3) & (number == 0), 1, truth).astype(np.uint8)
        if number == 3:
            masks["last"] = truth
        for name, labels in masks.items():
            write_labels(folders[name] / f"{files.case_id}.nii.gz", labels, like=image, classes=LATERALITY.classes)
    for folder in folders.values():
        evaluate.main(evaluate.Evaluate(predictions_dir=str(folder), data_dir=str(data_dir), workers=1))
    return folders


@pytest.fixture(scope="module")
def page_path(data_dir: Path, masks_dirs: dict[str, Path]) -> Path:
    masks = str(masks_dirs["moved"])
    report.main(report.Report(predictions_dir=masks, data_dir=str(data_dir), data_note=NOTE, workers=1))
    return masks_dirs["moved"] / "evaluation" / "report.html"


def test_a_page_names_the_case_that_cannot_be_drawn_and_the_command_fails(
    data_dir: Path, masks_dirs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    masks, data = shutil.copytree(masks_dirs["moved"], tmp_path / "masks"), shutil.copytree(data_dir, tmp_path / "data")
    (masks / "case_00002.nii.gz").write_bytes(b"no gzip")
    output = tmp_path / "page.html"
    settings = report.Report(
        predictions_dir=str(masks), data_dir=str(data), output=str(output), viewer=False, workers=1
    )
    with pytest.raises(InputError, match=r"^1 of 4 cases failed, the first: .*case_00002.nii.gz: expected"):
        report.main(settings)
    labels, written = capsys.readouterr().out.splitlines()
    assert labels.startswith("labels: right_kidney, left_kidney, tumor in ") and written.startswith(f"wrote {output} (")
    page = output.read_text()
    assert "Cases without pictures, which charts and tables of cases lack too: 1<" in page
    assert re.search(r"<li>[^<]*case_00002.nii.gz: expected [^<]*</li>", page)
    assert {"case_00000", "case_00001", "case_00003"} <= set(re.findall(r"case_0000\d", page))
    for path in data.glob("*/imaging.nii.gz"):
        path.write_bytes(b"no gzip")
    output.unlink()
    with pytest.raises(InputError, match="^4 of 4 cases failed"):
        report.main(settings)
    assert not output.exists()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a file; at the end nothing may have been said on the console, or been asked of a network."""
    said: list[str] = []
    pages: list[Page] = []

    def open_file(path: Path, **context: object) -> Page:
        page = browser.new_page(**context)
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: said.append(request.url) if request.url.startswith(("http", "ws")) else None)
        go_to(page, path.as_uri())
        pages.append(page)
        return page

    yield open_file
    for page in pages:
        page.close()
    assert [text for text in said if "niivue-" not in text and not text.startswith("info")] == []


def read_scores(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "evaluation" / "cases.csv", newline="") as file:
        return {row["case_id"]: row for row in csv.DictReader(file)}


def column(page: Page, name: str) -> list[float]:
    cells = page.locator(f"#case-table tbody tr:visible [data-name={name}]")
    return [float(value) for value in cells.evaluate_all("cells => cells.map(cell => cell.dataset.value)")]


def shown_cases(page: Page) -> list[str]:
    return page.locator("#case-table tbody tr:visible").evaluate_all("rows => rows.map(row => row.dataset.case)")


def test_the_table_has_the_scores_of_the_evaluation(
    page_path: Path, masks_dirs: dict[str, Path], open_page: Callable[..., Page]
) -> None:
    page, scores = open_page(page_path), read_scores(masks_dirs["moved"])
    assert shown_cases(page) == list(scores)
    for name in ("kidney_dice", "tumor_dice", "kidney_volume_error_ml", "lesions_detected"):
        assert column(page, name) == [float(row[name]) for row in scores.values()]
    assert page.title() == f"Evaluation of {masks_dirs['moved']}"
    expect(page.locator(".banner")).to_have_text(NOTE)
    summary = (masks_dirs["moved"] / "evaluation/summary.json").read_text()
    mean = float(re.search(r'"kidney_dice": \{\s*"mean": ([\d.]+)', summary)[1])
    expect(page.locator("#summary table").first.locator("tr", has_text="kidney + tumor Dice")).to_contain_text(
        f"{mean:.3f} ("
    )
    assert page_path.stat().st_size < MOST_BYTES


def test_sorting_and_filtering(page_path: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(page_path)
    everything = shown_cases(page)
    head = page.locator("#case-table th", has=page.get_by_role("button", name="tumor Dice", exact=True))
    head.get_by_role("button").click()
    ascending = column(page, "tumor_dice")
    assert ascending == sorted(ascending) and len(set(ascending)) > 1
    expect(head).to_have_attribute("aria-sort", "ascending")
    head.get_by_role("button").press("Enter")
    assert column(page, "tumor_dice") == ascending[::-1]
    expect(head).to_have_attribute("aria-sort", "descending")

    page.get_by_label("Search").fill("CASE_00002")
    assert shown_cases(page) == ["case_00002"]
    expect(page.locator("form.filter output")).to_have_text("1 of 4 cases")
    page.get_by_label("Search").fill("")
    limit = sorted(set(ascending))[0]
    page.get_by_label("tumor Dice at most", exact=True).fill(f"{limit + 1e-6:.6f}")
    assert column(page, "tumor_dice") == [value for value in ascending if value <= limit + 1e-6]
    page.get_by_label("tumor Dice at most", exact=True).fill("")
    page.get_by_label("error").check()
    assert shown_cases(page) == []
    page.get_by_label("error").uncheck()
    assert sorted(shown_cases(page)) == everything


def test_a_case_opens_from_its_thumbnail_a_chart_or_the_address(
    page_path: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(page_path)
    dialog = page.get_by_role("dialog")
    page.locator("#case-table tr[data-case=case_00001] a").click()
    expect(dialog.get_by_role("heading")).to_have_text("case_00001")
    picture = dialog.locator("img").first
    picture.evaluate("image => image.decode()")
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight > 800]") == [1000, True]
    expect(dialog.locator("dl div", has_text=re.compile(r"^\s*tumor Dice")).locator("dd")).to_have_text(
        re.compile(r"[01]\.\d{3}")
    )
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("heading")).to_have_text("case_00002")
    page.keyboard.press("ArrowLeft")
    expect(dialog.get_by_role("heading")).to_have_text("case_00001")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page).to_have_url(re.compile(r"report\.html#$"))

    page.locator('#charts a[*|href="#case_00003"]').first.dispatch_event("click")
    expect(dialog.get_by_role("heading")).to_have_text("case_00003")
    # The browser tells of a closing when the next case is asked for already.
    page.evaluate(
        """() => {
        const dialog = document.querySelector("dialog");
        dialog.close();
        location.hash = "case_00001";
        dialog.dispatchEvent(new Event("close"));
        }"""
    )
    expect(dialog.get_by_role("heading")).to_have_text("case_00001")
    expect(page).to_have_url(re.compile(r"report\.html#case_00001$"))
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    # The address is cleared a moment after the dialog is hidden; what the browser loads before that is lost.
    expect(page).to_have_url(re.compile(r"report\.html#$"))
    page.goto(f"{page_path.as_uri()}#case_00002")
    expect(dialog.get_by_role("heading")).to_have_text("case_00002")
    page.reload()
    expect(dialog.get_by_role("heading")).to_have_text("case_00002")


def test_nothing_moves_when_a_picture_comes(page_path: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(page_path)
    page.evaluate(
        """() => {
        window.moved = [];
        window.note = entries => moved.push(...entries.map(entry => entry.value));
        window.observer = new PerformanceObserver(list => note(list.getEntries()));
        observer.observe({ type: "layout-shift", buffered: true });
        }"""
    )
    pictures = page.locator(".examples img, #case-table img")
    assert pictures.count() > 4
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        picture.evaluate("image => image.decode()")
        known = picture.evaluate("image => [image.getAttribute('width'), image.getAttribute('height')].map(Number)")
        assert known == picture.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    wait_until_drawn(page)
    assert page.evaluate("() => { note(observer.takeRecords()); return moved; }") == []


def canvas_pixels(page: Page) -> np.ndarray:
    """Returns the pixels of the viewer, (height, width, 3), once it has done all that it was asked for."""
    expect(page.locator("#viewer .canvas")).to_have_attribute("aria-busy", "false")
    wait_until_drawn(page)
    return np.asarray(Image.open(io.BytesIO(page.locator("#niivue").screenshot())).convert("RGB")).astype(int)


def colored(pixels: np.ndarray) -> int:
    return int((pixels.max(axis=-1) - pixels.min(axis=-1) > 40).sum())


def test_the_viewer_shows_scan_and_masks(page_path: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(page_path, viewport={"width": 1200, "height": 900})
    output, hint = page.locator("#viewer output"), page.locator("#viewer .canvas p")
    expect(output).to_have_text("")
    expect(hint).to_have_text("The viewer opens when it comes into view, or at a click.")
    page.locator("#viewer").scroll_into_view_if_needed()
    expect(output).to_contain_text("case_00000, voxels of about 1.5 mm")
    expect(hint).to_be_hidden()
    with_both = canvas_pixels(page)
    assert with_both.std() > 10 and colored(with_both) > 500
    expect(page.get_by_label("opacity of truth")).to_have_value("1")
    page.get_by_label("opacity of truth").fill("0")
    with_prediction = canvas_pixels(page)
    assert 500 < colored(with_prediction) < colored(with_both)
    page.get_by_label("opacity of prediction").fill("0")
    assert colored(canvas_pixels(page)) < colored(with_prediction) / 4
    page.get_by_label("opacity of truth").fill("1")
    assert colored(canvas_pixels(page)) > 500
    page.get_by_label("opacity of prediction").fill("0.5")
    assert abs(canvas_pixels(page) - with_both).max() <= 1
    page.locator("#viewer [name=view]").select_option("axial")
    page.locator("#viewer [name=case]").select_option("case_00002")
    expect(output).to_contain_text("case_00002")
    assert abs(canvas_pixels(page) - with_prediction).mean() > 5

    page.locator("#case-table tr[data-case=case_00003] a").click()
    page.get_by_role("button", name="Show in the viewer").click()
    expect(output).to_contain_text("case_00003")


def test_a_click_opens_the_viewer_where_nothing_says_that_it_came_into_view(
    page_path: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(page_path, viewport=HD)
    page.add_init_script("IntersectionObserver.prototype.observe = () => {}")
    page.reload()
    page.locator("#viewer").scroll_into_view_if_needed()
    wait_until_drawn(page)
    expect(page.locator("#viewer output")).to_have_text("")
    page.locator("#viewer .canvas").click()
    expect(page.locator("#viewer output")).to_contain_text("case_00000, voxels of about 1.5 mm")


def test_without_webgl_the_viewer_says_so_and_the_figures_are_there(
    page_path: Path, open_page: Callable[..., Page]
) -> None:
    page = open_page(page_path)
    page.evaluate("HTMLCanvasElement.prototype.getContext = () => null")
    page.locator("#viewer .canvas").scroll_into_view_if_needed()
    expect(page.locator("#viewer output")).to_contain_text("this browser has no WebGL 2: the figures of the cases")
    expect(page.locator("#viewer .canvas")).to_be_hidden()
    assert page.locator("#examples img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def test_it_fits_every_window_in_light_and_dark(page_path: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(page_path)
    for width, scheme in itertools.product((390, 1280), ("light", "dark")):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        text, ground = (
            page.locator("body").evaluate(f"body => getComputedStyle(body).{name}")
            for name in ("color", "backgroundColor")
        )
        luminance = [sum(map(int, re.findall(r"\d+", color)[:3])) / 765 for color in (text, ground)]
        assert (luminance[0] > 0.8, luminance[1] < 0.2) == ((True, True) if scheme == "dark" else (False, False))
        chart = page.locator("#charts svg text").first.evaluate("text => getComputedStyle(text).fill")
        assert chart == text


def assert_tables_fit(page: Page) -> None:
    """Asserts that no table is wider than its place, which would cut it."""
    for place in page.locator(".scrolled").all():
        shown, needed = place.evaluate("place => [place.clientWidth, place.scrollWidth]")
        assert needed <= shown, place.inner_text()[:80]


def test_tables_fit_a_window_of_1280_pixels(page_path: Path, open_page: Callable[..., Page]) -> None:
    assert_tables_fit(open_page(page_path, viewport=HD))


def test_on_paper_there_is_nothing_to_click(page_path: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(page_path, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    for gone in ("nav", "form.filter", "#viewer"):
        expect(page.locator(gone)).to_be_hidden()
    expect(page.locator("#examples img").first).to_be_visible()
    assert page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf().startswith(b"%PDF")


def test_two_evaluations_side_by_side(
    data_dir: Path, masks_dirs: dict[str, Path], tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    first, second = (str(masks_dirs[name]) for name in ("moved", "better"))
    output = tmp_path / "new" / "both.html"
    report.main(
        report.Report(predictions_dir=first, compare=second, data_dir=str(data_dir), output=str(output), workers=1)
    )
    page, scores = open_page(output), [read_scores(masks_dirs[name]) for name in ("moved", "better")]
    expected = [float(scores[1][case]["tumor_dice"]) - float(scores[0][case]["tumor_dice"]) for case in scores[1]]
    assert shown_cases(page) == ["case_00000", "case_00001"]  # those that both have
    assert column(page, "change_tumor_dice") == pytest.approx(expected)
    row = page.locator("#summary table").first.locator("tr", has_text=re.compile(r"^\s*tumor Dice")).locator("td")
    expect(row.nth(2)).to_contain_text(f"{np.mean(expected):+.3f} (")
    page.locator("#case-table tr[data-case=case_00000] a").click()
    expect(page.get_by_role("dialog").locator("figcaption")).to_have_text([first, second])
    page.keyboard.press("Escape")
    page.set_viewport_size(HD)
    assert_tables_fit(page)
    page.locator("#viewer").scroll_into_view_if_needed()
    expect(page.locator("#viewer output")).to_contain_text("voxels")
    expect(page.get_by_label(f"opacity of {second}'s prediction")).to_have_value("0")


@pytest.fixture
def run(records_dir: Path, tmp_path: Path) -> Path:
    """The folder of a run, as far as a report reads it."""
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    shutil.copyfile(records_dir / "manifest.json", run_dir / "manifest.json")
    (run_dir / "train.flags").write_text("--learning_rate=0.001\n")
    (run_dir / "environment.json").write_text('{"packages": {"tensorflow": "2.21.0"}}\n')
    epochs = ["epoch,learning_rate,loss,kidney_dice,tumor_dice,composite,val_loss,val_kidney_dice,val_tumor_dice"]
    epochs += ["0,0.001,0.44,0.5,0.0,0.25,0.25,0.6,0.1", "1,0.001,0.25,0.75,0.1,0.42,0.2,0.9,0.2"]
    (run_dir / "history.csv").write_text("\n".join(epochs) + "\n")
    return run_dir


def test_a_run_has_its_training_in_the_page(
    run: Path, masks_dirs: dict[str, Path], open_page: Callable[..., Page], capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(InputError, match=rf"{run}/evaluation/test: expected an evaluation, .*--split=test makes it"):
        report.main(report.Report(run_dir=str(run), split="test"))
    shutil.copytree(masks_dirs["last"] / "evaluation", run / "evaluation/test")
    shutil.copytree(masks_dirs["last"], run / "evaluation/test/masks")
    report.main(report.Report(run_dir=str(run), split="test", viewer=False, workers=1))
    path = run / "evaluation/test/report.html"
    assert f"wrote {path} (" in capsys.readouterr().out
    page = open_page(path)
    assert page.locator("#viewer").count() == 0 and path.stat().st_size < 1_500_000
    page.get_by_text("Configuration").click()
    expect(page.locator("#training pre").first).to_contain_text("--learning_rate=0.001")
    expect(page.locator("#training svg")).to_contain_text("learning rate")
    page.get_by_text("Environment of the training").click()
    expect(page.locator("#training pre").nth(1)).to_contain_text('"tensorflow"')
    assert not list(path.parent.glob("*.html?*"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "expected either --run_dir or --predictions_dir"),
        ({"run_dir": "r", "predictions_dir": "p"}, "expected either --run_dir or --predictions_dir"),
        ({"predictions_dir": "p"}, "expected --data_dir with --predictions_dir"),
        ({"run_dir": "r", "compare": "r"}, "--compare: expected another folder than r"),
        ({"run_dir": "gone"}, "gone: expected the folder of a run, found no such folder"),
        ({"predictions_dir": "gone", "data_dir": "d"}, "gone: expected a folder of masks, found no such folder"),
    ],
)
def test_mistakes_are_explained(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        report.main(report.Report(**changes))


def test_an_earlier_page_is_replaced_and_a_file_of_others_is_kept(
    data_dir: Path, masks_dirs: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "page.html"
    settings = report.Report(
        predictions_dir=str(masks_dirs["last"]), data_dir=str(data_dir), output=str(output), viewer=False, workers=1
    )
    output.write_text("<title>a page of mine</title>")
    with pytest.raises(InputError, match=r"page.html: expected no file or one that kits_tf made, found another; it is"):
        report.main(settings)
    assert output.read_text() == "<title>a page of mine</title>"
    output.unlink()
    for _ in range(2):
        report.main(settings)
        assert '<meta name="generator" content="Made by kits_tf' in output.read_text()


def test_what_is_missing_is_named(
    data_dir: Path, masks_dirs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = tmp_path / "masks"
    shutil.copytree(masks_dirs["moved"], masks)
    settings = report.Report(predictions_dir=str(masks), data_dir=str(data_dir), workers=1, viewer=False)
    (masks / "case_00000.nii.gz").unlink()
    (masks / "evaluation/report.html").unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"^1 of 4 cases failed, .*: expected a mask named case_00000"):
        report.main(settings)
    assert (masks / "evaluation/report.html").exists()
    (masks / "evaluation/summary.json").write_text("{}")
    with pytest.raises(InputError, match=r"summary.json: expected the summary that evaluate wrote"):
        report.main(settings)
    lines = (masks / "evaluation/cases.csv").read_text().replace("case_0000", "case_0009")
    (masks / "evaluation/cases.csv").write_text(lines)
    with pytest.raises(InputError, match=r"expected case_00090 of .*evaluation, found no such case"):
        report.main(settings)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"expected matplotlib, ipyniivue to be installed: .*kits_tf\[report\]"):
        report.main(report.Report(run_dir="r"))
