"""Record what JupyterLab shows in Chromium, for README and docs: `python -m tools.make_media [name ...]`.

Animations are GIFs of an explorer's picture alone, moved as a learner moves it; stills are PNGs of what a cell shows.
Needs what the browser tests need.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image
from playwright.sync_api import Locator, Page

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from tests.browser.conftest import fresh_page  # noqa: E402
from tests.browser.lab import chromium, jupyterlab  # noqa: E402
from tests.unit.pages import blocks  # noqa: E402

IMAGES = ROOT / "docs/images"
WIDTH = 600  # pixels of a GIF at most
SECONDS = 0.11  # between two pictures
MARGIN = 6  # pixels of the page to the left of a still


def play(page: Page, root: Locator) -> Iterator[None]:
    """Let it play by itself from the beginning to the end, and rest."""
    root.locator(".nfteach-frame").fill("0")
    page.clock.run_for(1500)
    for _ in range(8):
        yield
    root.locator(".nfteach-play").click()
    for _ in range(round(8 * 0.9 / SECONDS)):
        page.clock.run_for(1000 * SECONDS)
        yield
    for _ in range(14):
        yield


def drag(name: str, *way: tuple[float, float]) -> Callable[[Page, Locator], Iterator[None]]:
    """Return a player that drags a handle along offsets in pixels, and back."""

    def player(page: Page, root: Locator) -> Iterator[None]:
        box = root.locator(f".nfteach-handle[aria-label^='{name}']").first.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        spots = [(0.0, 0.0), *way, (0.0, 0.0)]
        for (x0, y0), (x1, y1) in pairwise(spots):
            for k in range(1, 13):
                t = k / 12
                page.mouse.move(x + x0 + (x1 - x0) * t, y + y0 + (y1 - y0) * t)
                time.sleep(0.15)  # for the kernel's answer
                page.clock.run_for(1000 * SECONDS)
                yield
        page.mouse.up()

    return player


#: name -> the cell that shows it, and how it is moved.
MEDIA = {
    "hero": ("from nfteach.widgets import HeroExplorer\n\nHeroExplorer()", play),
    "planar": ("from nfteach.widgets import PlanarExplorer\n\nPlanarExplorer()", drag("u", (-120, 30), (-190, 160))),
    "coupling": ("from nfteach.widgets import CouplingExplorer\n\nCouplingExplorer()", drag("x₂", (0, 50), (0, -60))),
    "map": ("from nfteach.widgets import MapExplorer2D\n\nMapExplorer2D()", drag("z", (-150, 40), (-60, -90))),
}


def twist() -> str:
    """Return the cell that shows the explorer of docs/widgets.md."""
    page = (ROOT / "docs/widgets.md").read_text(encoding="utf-8")
    (opening,) = [block for block in blocks(page) if block.opens]
    return f"{opening.code}\nTwist()"


REPORT = "from nfteach.jacobian.exhibits import EXHIBITS\n\nEXHIBITS['interleaved-halves'].inspect()"

#: name -> what returns the cell that shows it, the element, and the one inside of it with which the picture ends.
STILLS = {
    "inspector": (lambda: REPORT, ".nfteach-report", "details:last-of-type"),
    "twist_explorer": (twist, ".nfteach-explorer", ".nfteach-chips"),
}


@contextmanager
def shown(cell: str, prepare: Callable[[Page], Any] = lambda page: None, **options: Any) -> Iterator[Page]:
    """Open JupyterLab with a notebook of one cell, which has run; ``prepare`` is called before the page is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, Path(folder) / "one.ipynb")
        with jupyterlab(Path(folder)) as lab, chromium() as browser, fresh_page(browser, **options) as page:
            prepare(page)
            lab.load(page)
            lab.open(page, "one.ipynb")
            lab.run_all(page)
            yield page


def record(name: str) -> Path:
    """Record one explorer as an animation and return the file written."""
    cell, player = MEDIA[name]
    # Time is stopped for each picture, so that the pace is even on any machine.
    with shown(cell, lambda page: page.clock.install()) as page:
        root = page.locator(".nfteach-live").first
        root.wait_for()
        time.sleep(12)  # it may play once by itself
        page.clock.pause_at(page.evaluate("() => Date.now()") + 1000)
        root.evaluate("(one) => one.scrollIntoView({ block: 'start' })")
        pictures = [shot(root) for _ in player(page, root)]
    return write(name, pictures)


def photograph(name: str) -> Path:
    """Take a still, half as large again as on the screen, and return the file written."""
    cell, selector, last = STILLS[name]
    with shown(cell(), viewport={"width": 1280, "height": 1400}, device_scale_factor=1.5) as page:
        root = page.locator(selector).first
        root.wait_for()
        page.wait_for_timeout(2000)
        top, end = root.bounding_box(), root.locator(last).first.bounding_box()
        left, high = top["x"] - MARGIN, top["y"]
        width, height = end["x"] + end["width"] - left, end["y"] + end["height"] - high
        clip = {"x": left, "y": high, "width": width, "height": height}
        picture = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
    path = IMAGES / f"{name}.png"
    # Colours that are rare, such as those of two points on a grid, are kept.
    picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


def shot(root: Locator) -> Image.Image:
    """Return the explorer's picture."""
    return Image.open(io.BytesIO(root.screenshot(type="png"))).convert("RGB")


def write(name: str, pictures: list[Image.Image]) -> Path:
    """Write pictures as a GIF, at an even pace, with one palette for all."""
    scaled = [
        picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.LANCZOS) for picture in pictures
    ]
    some = [scaled[k * (len(scaled) - 1) // 3] for k in range(4)]
    beside = Image.new("RGB", (WIDTH, 4 * some[0].height))
    for k, picture in enumerate(some):
        beside.paste(picture, (0, k * picture.height))
    palette = beside.quantize(128, method=Image.Quantize.FASTOCTREE)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in scaled]
    path = IMAGES / f"{name}.gif"
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=round(1000 * SECONDS), loop=0, optimize=True, disposal=1
    )
    return path


if __name__ == "__main__":
    for wanted in sys.argv[1:] or [*MEDIA, *STILLS]:
        written = (record if wanted in MEDIA else photograph)(wanted)
        print(written.name, f"{written.stat().st_size / 1e3:.0f} kB")
