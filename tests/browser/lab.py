"""JupyterLab and Notebook 7 on a copy of the notebooks, and a Chromium that looks at them.

`python -m tests.browser.lab` prints the Chromium that the tests would use, and fails where there is none.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from playwright.sync_api import Browser, Page, sync_playwright

__all__ = ["ROOT", "Lab", "chromium", "find_chromium", "jupyterlab"]

ROOT = Path(__file__).parents[2]
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},  # else what is not in view is not in the page
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
# True once the current notebook has a kernel that waits for work.
KERNEL_IDLE = """async () => {
    const panel = window.jupyterapp.shell.currentWidget;
    if (!panel || !panel.sessionContext) return false;
    await panel.context.ready;
    await panel.sessionContext.ready;
    const kernel = panel.sessionContext.session?.kernel;
    return !!kernel && kernel.connectionStatus === 'connected' && kernel.status === 'idle';
}"""


def find_chromium() -> str | None:
    """The Chromium to use: $CHROMIUM, one of the system's, Playwright's own; None where there is none that runs.

    The headless shell, in which Playwright's own runs too, comes first: it has no window around the page to paint.
    """
    if named := os.environ.get("CHROMIUM"):
        return named if _runs(named) else None
    for name in ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"):
        if (path := shutil.which(name)) and _runs(path):
            return path
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if _runs(own) else None


def _runs(path: str) -> bool:
    """Ubuntu's `chromium-browser` may be a stub that only says where to find the real one."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium; raises RuntimeError where there is none (`make browser` installs one)."""
    path = find_chromium()
    if path is None:
        raise RuntimeError("no Chromium that runs (looked at $CHROMIUM, the system's and Playwright's): `make browser`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


# Close every open document and shut its kernel down, except that of the file named.
CLOSE = """async (kept) => {
    for (const panel of [...window.jupyterapp.shell.widgets('main')]) {
        if (panel.context?.path !== kept) await panel.sessionContext?.shutdown();
        panel.dispose();
    }
}"""


class Lab:
    """A running JupyterLab: `open` and `run_all` drive a notebook through the application's own commands."""

    def __init__(self, address: str, token: str, root: Path) -> None:
        self.address, self.token, self.root = address, token, root

    def load(self, page: Page) -> None:
        """Load the application itself, without a document: it takes longer than to open a notebook in it."""
        self._go(page, f"lab?token={self.token}&reset")

    def open(self, page: Page, path: str) -> None:
        """Open the notebook at `path` (from the server's root) in the application and wait for its kernel."""
        if not page.evaluate("() => !!window.jupyterapp"):
            self.load(page)
        page.evaluate("async (path) => { await window.jupyterapp.commands.execute('docmanager:open', { path }) }", path)
        self._wait_for_kernel(page)

    def open_in_notebook(self, page: Page, path: str) -> None:
        """Open the notebook at `path` in Notebook 7, which the same server has: one notebook a page."""
        self._go(page, f"notebooks/{path}?token={self.token}")
        self._wait_for_kernel(page)

    def _go(self, page: Page, place: str) -> None:
        page.goto(f"{self.address}/{place}", wait_until="domcontentloaded")
        page.wait_for_function("() => window.jupyterapp")
        page.evaluate("async () => { await window.jupyterapp.restored }")

    def _wait_for_kernel(self, page: Page) -> None:
        page.locator(".jp-NotebookPanel:visible .jp-Notebook").wait_for()
        page.wait_for_function(KERNEL_IDLE, polling=50)

    def run_all(self, page: Page) -> bool:
        """Run every cell of the open notebook; True if none failed."""
        succeeded = page.evaluate("async () => await window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_function(KERNEL_IDLE, polling=50)
        return succeeded

    def contents(self, page: Page) -> NotebookNode:
        """Return the open notebook with the outputs that the page holds now."""
        text = page.evaluate("() => JSON.stringify(window.jupyterapp.shell.currentWidget.context.model.toJSON())")
        return nbformat.reads(text, as_version=4)

    def close(self, page: Page, kept: str = "") -> None:
        """Close all notebooks and end their kernels, so that the next has the machine to itself.

        The kernel of the notebook at the path `kept` goes on: to open that path again finds it as it was.
        """
        page.evaluate(CLOSE, kept)


@contextmanager
def jupyterlab(root: Path) -> Iterator[Lab]:
    """A JupyterLab that serves `root` on a free port of this machine, and knows nothing of its user's settings."""
    with tempfile.TemporaryDirectory(prefix="nfteach-lab-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        log = home / "lab.log"
        address, token = f"http://127.0.0.1:{_free_port()}", secrets.token_hex(16)
        with log.open("wb") as stream:
            server = subprocess.Popen(
                _command(address, token, root),
                env=_environment(home),
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, kernels included, that can be ended as one
            )
            try:
                _wait(server, f"{address}/api/status?token={token}", log)
                yield Lab(address, token, root)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGTERM)
                try:
                    server.wait(15)
                except subprocess.TimeoutExpired:
                    os.killpg(server.pid, signal.SIGKILL)
                    server.wait()


def _command(address: str, token: str, root: Path) -> list[str]:
    options = {
        "ip": "127.0.0.1",
        "port": address.rsplit(":", 1)[1],
        "ServerApp.port_retries": "0",
        "ServerApp.root_dir": str(root.resolve()),
        "ServerApp.terminals_enabled": "False",
        "KernelManager.shutdown_wait_time": "0.2",  # a kernel that ends by itself frees all that it loaded, for seconds
        "IdentityProvider.token": token,
        "LabApp.expose_app_in_browser": "True",  # window.jupyterapp
        "JupyterNotebookApp.expose_app_in_browser": "True",
        "LabApp.news_url": "None",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
    }
    start = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"]
    return start + [f"--{name}={value}" for name, value in options.items()]


def _environment(home: Path) -> dict[str, str]:
    """Folders of its own for everything that Jupyter reads and writes, and the settings of `make lab` below ours."""
    config = home / "config"
    (config / "labconfig").mkdir(parents=True)
    (config / "labconfig/default_setting_overrides.json").write_text(json.dumps(SETTINGS))
    return os.environ | {
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_CONFIG_PATH": str(ROOT / "tools/jupyter"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(server: subprocess.Popen, url: str, log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        with suppress(OSError):
            urllib.request.urlopen(url, timeout=2).read()
            return
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start; its last words:\n{log.read_text()[-3000:]}")


if __name__ == "__main__":
    found = find_chromium()
    if found is None:
        sys.exit(1)
    print(f"Chromium for the browser tests: {found}")
