"""How long from a slider's event to its pixels, in a real JupyterLab: `python -m benchmarks.widget_latency`.

The planar explorer stands beside two yardsticks, all three in one page and one run:

- the floor: a slider whose value the kernel writes into a label;
- the usual way: the same picture drawn by matplotlib and shown inline by `interact`.

The server has the settings of `make lab`, with Nagle's algorithm off; hosted ones usually have it on.

A slider gets an arrow key; the clock stops in the frame after the browser has painted the answer.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import nbformat
from playwright.sync_api import Page

from tests.browser.lab import chromium, jupyterlab

__all__ = ["main"]

CELLS = {
    "label": """
import ipywidgets
slider = ipywidgets.IntSlider(0, min=-500, max=500, description="label")
label = ipywidgets.Label("0")
slider.observe(lambda change: setattr(label, "value", str(change["new"])), "value")
ipywidgets.VBox([slider, label])
""",
    "interact": """
%matplotlib inline
from IPython.display import display
from nfteach.widgets import PlanarExplorer
drawn = PlanarExplorer()
drawn.live.send = lambda *_: None  # only matplotlib's picture is wanted here
name = next(iter(drawn.controls))
control = drawn.controls[name]
@ipywidgets.interact(angle=ipywidgets.FloatSlider(
    control.value, min=control.min, max=control.max, step=control.step, description="interact"))
def draw(angle):
    drawn.set(**{name: angle})
    display(drawn.live.figure)
""",
    "explorer": """
PlanarExplorer()
""",
}

# When something is drawn or written that answers the slider, the time of the next frame is kept.
WATCH = """
window.answered = null;
window.painted = null;
window.answer = () => {
    if (window.answered !== null) return;
    window.answered = performance.now();
    requestAnimationFrame(() => requestAnimationFrame(() => { window.painted = performance.now(); }));
};
const drawImage = CanvasRenderingContext2D.prototype.drawImage;
CanvasRenderingContext2D.prototype.drawImage = function (...args) {
    if (this.canvas.classList.contains("nfteach-canvas")) window.answer();
    return drawImage.apply(this, args);
};
document.addEventListener("keydown", () => {
    window.answered = window.painted = null;
    window.pressed = performance.now();
}, true);
"""
OBSERVE = {
    "label": """(cell) => new MutationObserver((changes) => {
        const label = cell.querySelector(".widget-vbox > .widget-label");
        if (changes.some((one) => label.contains(one.target))) window.answer();
    }).observe(cell, { subtree: true, childList: true, characterData: true })""",
    "interact": """(cell) => new MutationObserver((changes) => {
        for (const change of changes) {
            for (const node of change.addedNodes) {
                const image = node.tagName === "IMG" ? node : node.querySelector?.("img");
                if (image) image.decode().then(window.answer);
            }
        }
    }).observe(cell, { subtree: true, childList: true })""",
}


def notebook() -> nbformat.NotebookNode:
    """One cell for each variant."""
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source.strip()) for source in CELLS.values()],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )


def measure(page: Page, variant: str, presses: int) -> list[float]:
    """Milliseconds from key to pixels, one number a press."""
    cell = page.locator(".jp-NotebookPanel:visible .jp-CodeCell").nth(list(CELLS).index(variant))
    cell.scroll_into_view_if_needed()
    if variant in OBSERVE:
        cell.evaluate(OBSERVE[variant])
    handle = cell.locator(".widget-slider .noUi-handle").first
    handle.focus()
    times = []
    for number in range(presses + 5):
        page.wait_for_timeout(150)  # quiet, so that each event is one of its own
        handle.press("ArrowRight" if number % 2 else "ArrowLeft")
        page.wait_for_function("() => window.painted !== null", polling="raf", timeout=20_000)
        times.append(page.evaluate("() => window.painted - window.pressed"))
    return times[5:]  # the first ones warm up


def main() -> None:
    """Measure, print a table, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presses", type=int, default=60, help="measured key presses for each variant (default: 60)")
    parser.add_argument("--json", type=Path, help="also write the times to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(notebook(), Path(folder) / "latency.ipynb")
        with jupyterlab(Path(folder)) as lab, chromium() as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.set_default_timeout(120_000)
            page.add_init_script(WATCH)
            lab.open(page, "latency.ipynb")
            if not lab.run_all(page):
                raise SystemExit("a cell of the benchmark's notebook failed")
            page.wait_for_timeout(2000)
            times = {variant: measure(page, variant, options.presses) for variant in CELLS}
    floor = statistics.median(times["label"])
    print(f"{'slider event to pixels':24} {'median ms':>10} {'p95 ms':>8} {'x label':>8}")
    for variant, values in times.items():
        median, p95 = statistics.median(values), statistics.quantiles(values, n=20)[-1]
        print(f"{variant:24} {median:10.0f} {p95:8.0f} {median / floor:8.2f}")
    if options.json:
        options.json.write_text(json.dumps(times, indent=1))


if __name__ == "__main__":
    main()
