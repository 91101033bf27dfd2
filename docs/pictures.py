"""Makes README's pictures out of a demo and its real scan: make pictures."""

import shutil
import sys
from pathlib import Path

from browser import PATIENCE_MS, go_to, started_browser, wait_until_drawn
from playwright.sync_api import Browser, Page, expect

from kits_tf import app

HERE = Path(__file__).parent
WIDTH = 1280


def main(demo: Path, scan: Path) -> None:
    """Copies the figures of the first held-out phantom and of the real scan; takes pictures of report and page.

    The report is of the phantoms, the page has the real scan and its mask by the starter network.
    """
    figure = sorted((demo / "figures").glob("*.png"))[0]
    shutil.copyfile(figure, HERE / "demo.png")
    (real,) = (demo / "real").glob("*.png")
    shutil.copyfile(real, HERE / "real.png")
    with started_browser() as browser:
        take_report(browser, demo / "run/evaluation/test/report.html")
        with app.serve_page(app.App(page_port=0)) as url:
            take_page(browser, url, scan, "light").screenshot(path=HERE / "page.png")
            page = take_page(browser, url, scan, "dark")
            page.get_by_role("button", name="Correct the mask").click()
            wait_until_drawn(page)
            page.screenshot(path=HERE / "page_dark.png")


def take_report(browser: Browser, report: Path) -> None:
    """Takes a picture of a report, with its viewer open, from the charts to the viewer."""
    page = browser.new_page(viewport={"width": WIDTH, "height": 900})
    go_to(page, report.resolve().as_uri())
    page.locator("#viewer .canvas").scroll_into_view_if_needed()
    expect(page.locator("#viewer output")).to_contain_text("voxels")
    expect(page.locator("#viewer .canvas")).to_have_attribute("aria-busy", "false")
    wait_until_drawn(page)
    top, bottom = (
        page.locator(place).evaluate(f"element => element.getBoundingClientRect().{edge} + scrollY")
        for place, edge in (("#charts", "top"), ("#viewer", "bottom"))
    )
    clip = {"x": 0, "y": top, "width": WIDTH, "height": bottom - top + 10}
    page.screenshot(path=HERE / "report.png", full_page=True, clip=clip)


def take_page(browser: Browser, url: str, scan: Path, scheme: str) -> Page:
    """Returns the page with a scan, its mask and its measurements."""
    page = browser.new_page(viewport={"width": 1500, "height": 1000}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE_MS)
    go_to(page, url)
    page.locator("#file").set_input_files(scan)
    expect(page.locator("#list li")).to_have_class("done")
    expect(page.locator("#pen output")).to_have_text("")
    wait_until_drawn(page)
    return page


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
