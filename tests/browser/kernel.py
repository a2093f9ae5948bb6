"""The kernel behind the open notebook: asked, kept busy, and ended, as the page's application does it."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page

__all__ = ["ask", "clear", "end", "keep_busy", "restart_and_run_all", "run_cell", "wait_for"]

ASK = """async (expression) => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const reply = await kernel.requestExecute({ code: '', user_expressions: { it: expression } }).done;
    const { it } = reply.content.user_expressions;
    return it.status === 'ok' ? it.data['text/plain'] : `${it.ename}: ${it.evalue}`;
}"""
# The kernel's status tells nothing: after each message of a widget it is idle, whatever a cell does.
BUSY = """() => {
    window.free = false;
    window.busy = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
        .requestExecute({ code: 'import time; time.sleep(60)' }).done.finally(() => { window.free = true; });
}"""
FREE = """async () => {
    if (window.free) throw new Error('the kernel was free before all was done');
    await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt();
    await window.busy;
}"""
RUN = """async (index) => {
    const panel = window.jupyterapp.shell.currentWidget;
    panel.content.deselectAll();
    panel.content.activeCellIndex = index;
    return await window.jupyterapp.commands.execute('notebook:run-cell');
}"""
RESTART = """async () => {
    const panel = window.jupyterapp.shell.currentWidget;
    await panel.sessionContext.restartKernel();
    return await window.jupyterapp.commands.execute('notebook:run-all-cells');
}"""


def ask(page: Page, expression: str) -> str:
    """The value of an expression in the kernel of the open notebook, as its repr; what it raised, in words."""
    return page.evaluate(ASK, expression)


def wait_for(page: Page, expression: str, value: str) -> None:
    """Wait until an expression in the kernel has this repr: until the kernel has been told."""
    for _ in range(100):
        if (said := ask(page, expression)) == value:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{expression} is {said}, not {value}")


def clear(page: Page) -> None:
    """Close every widget that the open notebook's kernel holds, if it has one, and forget every name of the user's."""
    if page.evaluate("() => !!window.jupyterapp.shell.currentWidget?.sessionContext.session?.kernel"):
        ask(page, "[__import__('ipywidgets').Widget.close_all(), get_ipython().run_line_magic('reset', '-f')]")


@contextmanager
def keep_busy(page: Page) -> Iterator[None]:
    """Let the kernel sleep meanwhile, as a cell that trains would keep it busy; at the end it must still be."""
    page.evaluate(BUSY)
    page.wait_for_timeout(300)
    yield
    page.evaluate(FREE)


def end(page: Page) -> None:
    """Shut the kernel down, and leave the page open."""
    page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown() }")
    page.wait_for_function("!window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel")


def run_cell(page: Page, index: int) -> bool:
    """Run one cell of the open notebook, counted from 0; True if it passed."""
    return page.evaluate(RUN, index)


def restart_and_run_all(page: Page) -> bool:
    """Kernel, Restart Kernel and Run All Cells, without the question whether one is sure; True if no cell failed."""
    return page.evaluate(RESTART)
