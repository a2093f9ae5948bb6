"""Explorers of cells that are run again are closed: in a real kernel, with cells' names as JupyterLab sends them."""

from __future__ import annotations

import ast

import pytest
from jupyter_client.manager import start_new_kernel

SETUP = """
import gc
import weakref

import ipywidgets
import torch

from nfteach.widgets import Explorer
from nfteach.widgets.controls import slider
from nfteach.widgets.parts import Dots, Plane

made = weakref.WeakSet()


class Dot(Explorer):
    def __init__(self, name):
        self.name = name
        super().__init__()
        made.add(self)

    def build_controls(self):
        return {"x": slider("x", -1, 1, 0)}

    def picture(self, s):
        return {"plane": Plane({"dot": Dots(torch.stack([s.x, s.x])[None])})}


def look():
    gc.collect()
    return [one.name for one in made if one.comm is not None], len(ipywidgets.widgets.widget._instances)
"""


class Kernel:
    def __init__(self):
        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def run(self, cell: str | None, code: str) -> tuple[list[str], int]:
        """Run a cell; the names of the explorers that are open then, and how many widgets there are."""
        content = {
            "code": code, "silent": False, "store_history": True, "user_expressions": {"look": "look()"},
            "allow_stdin": False, "stop_on_error": False,
        }  # fmt: skip
        message = self.client.session.msg("execute_request", content, metadata={"cellId": cell} if cell else {})
        self.client.shell_channel.send(message)
        while True:
            reply = self.client.get_shell_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                break
        assert reply["content"]["status"] == "ok", reply["content"]
        names, widgets = ast.literal_eval(reply["content"]["user_expressions"]["look"]["data"]["text/plain"])
        return sorted(names), widgets

    def closed(self) -> int:
        """Count the widgets that the front end was notified to forget, since the last call."""
        count = 0
        while self.client.iopub_channel.msg_ready():
            count += self.client.get_iopub_msg(timeout=5)["msg_type"] == "comm_close"
        return count


@pytest.fixture(scope="module")
def kernel():
    running = Kernel()
    running.run("setup", SETUP)
    yield running
    running.client.stop_channels()
    running.manager.shutdown_kernel(now=True)


def test_a_cell_run_again_closes_what_it_has_shown_and_memory_is_freed(kernel):
    names, widgets = kernel.run("a", "Dot('first')")
    assert names == ["first"]
    kernel.closed()
    for turn in range(4):
        assert kernel.run("a", f"Dot('{turn}')") == ([str(turn)], widgets)
    assert kernel.closed() > 4 * 10, "the browser is notified"
    assert kernel.run("a", "1")[0] == []
    kernel.run("other", "assert len(made) == 0, list(made)")
    assert kernel.run("other", "Out.keys() & {2, 3, 4, 5, 6}, [name for name in globals() if name in ('_2', '_6')]")


def test_visible_and_held_explorers_stay(kernel):
    kernel.run("b", "e = Dot('old'); e")
    kernel.run("c", "e")
    assert kernel.run("b", "e = Dot('new'); e")[0] == ["new", "old"], "another cell shows it"
    assert kernel.run("c", "e")[0] == ["new"]
    assert kernel.run("b", "1")[0] == ["new"]
    assert kernel.run("c", "1")[0] == ["new"], "it has a name: it may be shown again"
    assert kernel.run("c", "e")[0] == ["new"]
    assert kernel.run("d", "several = {'one': [], 'two': Dot('two')}; display(several['two'])")[0] == ["new", "two"]
    assert kernel.run("d", "1")[0] == ["new", "two"]
    assert kernel.run("d", "box = ipywidgets.VBox([ipywidgets.HBox([several.pop('two')])])")[0] == [
        "new",
        "two",
    ]
    assert kernel.run("d", "del box")[0] == ["new"]
    assert kernel.run("d", "del e")[0] == ["new"], "c shows it"
    assert kernel.run("c", "1")[0] == []


def test_a_cell_that_fails_or_is_run_by_a_client_that_names_no_cells_does_no_harm(kernel):
    kernel.run("f", "Dot('f')")
    assert kernel.run(None, "Dot('nameless')")[0] == ["f", "nameless"]
    assert kernel.run(None, "1")[0] == ["f", "nameless"]
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        kernel.run("f", "1 / 0")
    assert kernel.run("g", "1")[0] == ["nameless"]
