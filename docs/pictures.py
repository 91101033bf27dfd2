"""Makes README's pictures out of a demo: make pictures."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

HERE = Path(__file__).parent
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking"]
WIDTH = 1100


def main(demo: Path, browser_path: str) -> None:
    """Copies the figure of the demo's first held-out phantom, and takes a picture of its report from the charts on."""
    shutil.copyfile(sorted((demo / "figures").glob("*.png"))[0], HERE / "demo.png")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.goto((demo / "run/evaluation/test/report.html").resolve().as_uri())
        page.get_by_role("button", name="Open the viewer").click()
        expect(page.locator("#viewer output")).to_contain_text("voxels", timeout=60_000)
        page.wait_for_timeout(1000)
        top, bottom = (
            page.locator(place).evaluate(f"element => element.getBoundingClientRect().{edge} + scrollY")
            for place, edge in (("#charts", "top"), ("#viewer", "bottom"))
        )
        clip = {"x": 0, "y": top, "width": WIDTH, "height": bottom - top + 10}
        page.screenshot(path=HERE / "report.png", full_page=True, clip=clip)
        browser.close()


if __name__ == "__main__":
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        sys.exit("error: expected Chromium or Chrome, found none; on Debian: apt install chromium")
    main(Path(sys.argv[1]), found)
