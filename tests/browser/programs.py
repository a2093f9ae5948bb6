"""An empty page that runs recorded programs, and hands back all that they return."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from playwright.sync_api import Browser

from nfteach.widgets.stage.modules import joined
from nfteach.widgets.stage.packing import packed
from tests.browser.bench import SOURCES, as_json

__all__ = ["Runner", "runner"]

# Arrays travel as one text, each once; a number that JSON does not know travels as {"#": text}.
SCRIPT = """
window.TEXTS = TEXTS;
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
window.load = async ({ content, buffers }) => {
  window.program = await Program.load(unpack(content, buffers.map(bytes)));
};
const reader = (blob) => new Promise((done) => {
  const file = new FileReader();
  file.onload = () => done(file.result.slice(file.result.indexOf(",") + 1));
  file.readAsDataURL(blob);
});
window.run = async (states, raw) => {
  const [arrays, known] = [[], new Map()];
  let size = 0;
  const pooled = (data, shape) => {
    if (!known.has(data)) {
      known.set(data, { $: [size, data.constructor.name.slice(0, -5).toLowerCase(), shape ?? [data.length]] });
      arrays.push(data);
      size += data.byteLength;
    }
    return known.get(data);
  };
  const plain = (_, value) => {
    if (typeof value === "number" && !Number.isFinite(value)) return { "#": String(value).toLowerCase() };
    if (ArrayBuffer.isView(value)) return pooled(value);
    return ArrayBuffer.isView(value?.data) ? pooled(value.data, value.shape) : value;
  };
  const results = states.map((state) => {
    const result = program.at(state);
    return JSON.stringify(raw ? [result !== null, program.values] : result, plain);
  });
  return [`[${results.join()}]`, await reader(new Blob(arrays))];
};
"""


class Runner:
    """An empty page that runs programs."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.add_script_tag(content=joined(SOURCES / "page" / "here.js") + SCRIPT, type="module")
        page.wait_for_function("() => !!window.run")

    def results(self, told: Mapping[str, Any], states: Sequence[Mapping[str, float]], raw: bool = False) -> list[Any]:
        """Return what a program makes of each state, in this order; None where it declines.

        Args:
            raw: whether, in its place, the outputs are returned, as (whether it did not decline, outputs).
        """
        self.page.evaluate("load", as_json(packed(told)))
        text, pool = self.page.evaluate("([states, raw]) => run(states, raw)", [list(states), raw])
        data = base64.b64decode(pool)

        def revived(node: dict[str, Any]) -> Any:
            if "#" in node:
                return float(node["#"])
            if "$" in node:
                start, dtype, shape = node["$"]
                return np.frombuffer(data, dtype, int(np.prod(shape)), start).reshape(shape)
            return node

        return json.loads(text, object_hook=revived)


@contextmanager
def runner(browser: Browser) -> Iterator[Runner]:
    """Open an empty page that runs programs."""
    context = browser.new_context()
    yield Runner(context.new_page())
    context.close()
