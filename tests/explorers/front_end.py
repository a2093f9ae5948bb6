"""The front end's side of a widget: unpack its messages, and send messages to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from ipywidgets import Widget

__all__ = ["drag", "say", "state_of", "unpack"]


def unpack(node: Any, buffers: Any) -> Any:
    """Invert the packing of messages, as the page does."""
    if isinstance(node, dict) and "$" in node:
        index, dtype, shape = node["$"]
        return np.frombuffer(buffers[index], dtype).reshape(shape)
    if isinstance(node, dict):
        return {key: unpack(value, buffers) for key, value in node.items()}
    return [unpack(value, buffers) for value in node] if isinstance(node, list) else node


def state_of(live: Widget, key: str) -> Any:
    """Return a packed trait of a live figure as the front end unpacks it."""
    packed = live.get_state(key)[key]
    return unpack(packed["content"], packed["buffers"])


def say(widget: Widget, **content: Any) -> None:
    """Send a message to a widget, as its view in the browser does."""
    widget.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def drag(live: Widget, name: str, x: float, y: float, number: int = 1) -> None:
    """Drag a handle to x, y in its plane."""
    say(live, type="gesture", name=name, values=[x, y], number=number)
