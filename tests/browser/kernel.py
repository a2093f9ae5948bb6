"""The kernel behind the open notebook: asked, kept busy, and ended, as the page's application does it."""

from playwright.sync_api import Page

__all__ = ["STATUS", "ask", "busy", "end", "restart_and_run_all", "run_cell", "wait_for"]

#: JavaScript: what the page thinks that its kernel is doing.
STATUS = "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status"

ASK = """async (expression) => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const reply = await kernel.requestExecute({ code: '', user_expressions: { it: expression } }).done;
    const { it } = reply.content.user_expressions;
    return it.status === 'ok' ? it.data['text/plain'] : `${it.ename}: ${it.evalue}`;
}"""
BUSY = """(seconds) => {
    window.busy = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
        .requestExecute({ code: `import time; time.sleep(${seconds})` }).done;
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


def busy(page: Page, seconds: int) -> None:
    """Let the kernel sleep, as a cell that trains would keep it busy; `window.busy` is done when it is free again."""
    page.evaluate(BUSY, seconds)
    page.wait_for_function(f"{STATUS} === 'busy'")


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
