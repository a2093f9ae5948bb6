"""Do widgets work here? A question from the browser to the kernel and back."""

from __future__ import annotations

from typing import Any

import anywidget

__all__ = ["SelfTest"]

_NOT_RUN = "The widget self-test has not run in this view. Run the cell; if this line stays, see “When you are stuck”."


class SelfTest(anywidget.AnyWidget):
    """One line that says whether the browser shows widgets and whether the kernel answers them.

    A page that says ``data-kernel="none"`` of itself, as those of the book do, is not asked for one.
    """

    _esm = """
    function render({ model, el }) {
      const line = document.createElement("div");
      line.className = "nfteach-selftest";
      line.setAttribute("role", "status");
      line.style.cssText = "padding: 4px 0; font-size: 14px";
      line.textContent = "The browser shows widgets. Asking the kernel ...";
      el.append(line);
      if (document.documentElement.dataset.kernel === "none") {
        line.textContent = "✓ Widgets work. This page has no kernel: what moves here is computed by the browser.";
        return;
      }
      const answered = () => {
        line.textContent = "✓ Widgets work: the browser asked, and the kernel answered.";
        clearTimeout(late);
      };
      const late = setTimeout(() => {
        line.textContent = "✗ The browser shows widgets, but the kernel has not answered for 20 seconds. " +
          "If it is not busy: Kernel, then Restart Kernel and Run All Cells.";
      }, 20000);
      model.on("msg:custom", answered);
      model.send({ question: "are you there?" });
      return () => { clearTimeout(late); model.off("msg:custom", answered); };
    }
    export default { render };
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_msg(lambda widget, content, buffers: self.send({"answer": "yes"}))

    def __repr__(self) -> str:
        return "SelfTest()"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/plain": _NOT_RUN, "text/html": f"<p>{_NOT_RUN}</p>"}, metadata
