"""What is written about kits_tf: a site that builds, and links that lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def test_links_and_pictures_are_there() -> None:
    for page in PAGES:
        targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        local = [target.partition("#")[0] for target in targets if "://" not in target and not target.startswith("#")]
        assert [target for target in local if not (page.parent / target).exists()] == [], page


def test_the_site_has_every_page_and_takes_nothing_from_a_network(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", f"--site-dir={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in ROOT.glob("docs/*.md"):
        assert f" {page.name}\n" in navigation
    loaded = re.findall(r'<(?:script|link)[^>]*(?:src|href)="(https?://[^"]+)"', (tmp_path / "index.html").read_text())
    assert loaded == []
