import re

from kits_tf.views.pages.page import read_template, render
from kits_tf.webapp import pages


def test_every_page_has_the_colors_of_one_theme() -> None:
    theme = read_template("theme.css")
    assert pages.file("theme.css") == (theme.encode(), "text/css")
    assert '<link rel="stylesheet" href="/files/theme.css">' in pages.file("page.html")[0].decode()
    names = dict(title="", data_note="", labeled=0, counts=[], facts=(), thumbnail_size=None, rows=[])
    audit, app = render("audit.html", **names), theme + pages.file("page.css")[0].decode()
    assert theme.strip() in audit
    for css in (audit, app):  # set once for each of light, dark and paper, and nothing is used that is not set
        used = set(re.findall(r"var\((--[\w-]+)\)", css)) - {"--color"}
        assert used and all(len(re.findall(rf"{name}:", css)) == 3 for name in used)
