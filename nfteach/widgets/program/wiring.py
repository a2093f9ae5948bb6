"""An explorer's picture as a program: what it computes from the sliders, and where that stands in the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfteach.widgets.parts import Number, flatten
from nfteach.widgets.program.emit import ARRAYS, emitted
from nfteach.widgets.program.record import View, record
from nfteach.widgets.program.words import pieces
from nfteach.widgets.stage.packing import rows_of

__all__ = ["program_of", "recorded"]


def program_of(
    picture: Callable[[SimpleNamespace], Mapping[str, Any]], sliders: Mapping[str, float], choices: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the page needs to compute a picture as long as the choices stay.

    Args:
        picture: an explorer's ``picture``.
        sliders: name -> number, of the real sliders. choices: name -> value, of all other controls.

    Returns:
        The tree of :func:`recorded`, of ``nodes``, ``order`` and ``rows`` as :class:`~nfteach.widgets.LiveFigure` shows
        them.

    Raises:
        Refused: the picture cannot be recorded; the message names the line.
    """

    def flat(result: Mapping[str, Any], view: Callable[[Tensor], Any]) -> Any:
        def plain(_: str, tensor: Tensor) -> Any:
            if tensor.dim() == 0:
                return tensor
            if tensor.dtype in (torch.bool, torch.uint8):
                return tensor.to(torch.uint8)
            return tensor.to(torch.float32)

        given = dict(result)
        readout = {k: v if isinstance(v, Number) else Number(v) for k, v in given.pop("readout", {}).items()}
        nodes = flatten(given, plain)
        return {"nodes": nodes, "order": list(nodes), "rows": rows_of(readout, lambda value: value)}

    return recorded(lambda **moving: picture(SimpleNamespace(**choices, **moving)), sliders, flat)


def recorded(
    function: Callable[..., Any], inputs: Mapping[str, float], shape: Callable[..., Any] = lambda result, view: result
) -> dict[str, Any]:
    """Record a function of numbers for the page.

    Returns:
        ``code``, the text of a module (:func:`~nfteach.widgets.program.emit.emitted`); ``constants``, number of a buffer
        -> array; ``inputs``, the names; ``masks``, one for each output; ``tree``, the result with ``{"=": output}`` for
        what is computed and ``{"~": pieces}`` for texts with numbers; ``texts``, (kind, number, details) for the
        places in these; ``guards``, (output, value): where it differs, the function would do something else.
    """
    given = {name: torch.tensor(value, dtype=torch.float64) for name, value in inputs.items()}

    def find(result: Any, view: Callable[[Tensor], Any]) -> Any:
        return _mapped(shape(result, view), lambda leaf: view(leaf) if isinstance(leaf, Tensor) else leaf)

    recording = record(function, given, find)
    outputs: dict[View, int] = {}

    def refer(view: View) -> dict[str, int]:
        return {"=": outputs.setdefault(view, len(outputs))}

    def tell(leaf: Any) -> Any:
        if isinstance(leaf, View):
            return refer(leaf) | ({"shape": list(leaf.shape)} if leaf.shape else {"dtype": leaf.dtype})
        if isinstance(leaf, Tensor):
            return leaf.item() if leaf.dim() == 0 else np.ascontiguousarray(leaf.numpy())
        if isinstance(leaf, str) and len(found := pieces(leaf)) > 1:
            return {"~": found}
        return leaf

    tree = _mapped(recording.outputs, tell)
    texts = [[kind, refer(view) | {"dtype": view.dtype}, *_mapped(rest, tell)] for kind, view, *rest in recording.texts]
    guards = [[refer(view), value] for view, value in recording.guards]
    code, buffers = emitted(recording, list(outputs))
    kept = {k: _plain(buffer.data) for k, buffer in enumerate(buffers) if buffer.data is not None and f"C({k})" in code}
    return {
        "code": code,
        "constants": kept,
        "inputs": recording.inputs,
        "masks": [recording.mask(view) for view in outputs],
        "tree": tree,
        "texts": texts,
        "guards": guards,
    }


def _mapped(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    if isinstance(tree, dict):
        return {key: _mapped(value, leaf) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_mapped(value, leaf) for value in tree]
    return leaf(tree)


def _plain(data: Tensor) -> np.ndarray:
    """Return constants as the page reads them."""
    kind = {"Uint8Array": np.uint8, "Int32Array": np.int32}.get(ARRAYS[str(data.dtype).removeprefix("torch.")])
    array = data.numpy()
    return array.astype(kind) if kind else array

