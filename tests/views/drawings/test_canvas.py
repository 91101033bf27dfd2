import importlib

import matplotlib
from matplotlib.figure import Figure

from kits_tf.views.drawings import canvas


def test_matplotlib_keeps_the_settings_of_who_imports_us() -> None:
    before = dict(matplotlib.rcParams)
    importlib.reload(canvas)
    figure = Figure(figsize=(1, 1))
    figure.suptitle("tumor")
    assert ">tumor</text>" in canvas.svg(figure) and canvas.webp(figure, 100)
    assert dict(matplotlib.rcParams) == before
