"""An explorer's picture as a program: what it computes from the sliders, and where that stands in the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfteach.widgets.parts import Number, finite, flatten
from nfteach.widgets.program.emit import ARRAYS, emitted
from nfteach.widgets.program.lower import is_known
from nfteach.widgets.program.record import Refused, View, record
from nfteach.widgets.program.words import pieces
from nfteach.widgets.stage.packing import rows_of

__all__ = ["move_of", "program_of", "recorded"]


def program_of(
    picture: Callable[[SimpleNamespace], Any], inputs: Mapping[str, Tensor], choices: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the page needs to compute a picture as long as the choices stay.

    Args:
        picture: state -> a picture, or a list of pictures as frames.
        inputs: name -> tensor, of the traced controls. choices: name -> value, of all other controls.

    Returns:
        What :func:`recorded` does, of ``nodes``, ``order`` and ``rows`` as :class:`~nfteach.widgets.LiveFigure` shows
        them, or of ``frames`` of these.

    Raises:
        Refused: the picture cannot be recorded; the message names the line.
    """

    def flat(result: Mapping[str, Any], view: Callable[[Tensor], Any]) -> Any:
        def plain(where: str, tensor: Tensor) -> Any:
            if isinstance(view(tensor), Tensor):  # a constant; what moves is looked at by the page
                finite(where, tensor)
            if tensor.dim() == 0:
                return tensor
            if tensor.dtype in (torch.bool, torch.uint8):
                return tensor.to(torch.uint8)
            return tensor.to(torch.float32)

        if isinstance(result, list):
            return {"frames": [flat(frame, view) for frame in result]}
        given = dict(result)
        readout = {k: v if isinstance(v, Number) else Number(v) for k, v in given.pop("readout", {}).items()}
        nodes = flatten(given, plain)
        return {"nodes": nodes, "order": list(nodes), "rows": rows_of(readout, lambda value: value)}

    return recorded(lambda **moving: picture(SimpleNamespace(**choices, **moving)), inputs, flat)


def move_of(
    move: Callable[..., Mapping[str, Any]],
    inputs: Mapping[str, Tensor],
    choices: Mapping[str, Any],
    values: Sequence[float],
) -> dict[str, Any]:
    """Return what the page needs to move controls by a gesture; ``value 0``, ``value 1``, ... are the gesture's inputs.

    Args:
        move: (state, values...) -> control -> value, as an explorer's ``drag`` of one mark.
        inputs, choices: as for :func:`program_of`.
        values: those of the gesture.

    Returns:
        What :func:`recorded` does, with ``reads``, the choices that it depends on.

    Raises:
        Refused: the move cannot be recorded; the message names the line, and ``reads`` the choices.
    """
    given = {f"value {k}": torch.tensor(value, dtype=torch.float64) for k, value in enumerate(values)}
    read: set[str] = set()

    class Noted(SimpleNamespace):
        def __getattribute__(self, name: str) -> Any:
            read.update(choices if name == "__dict__" else {name})
            return super().__getattribute__(name)

    def run(**moving: Tensor) -> dict[str, Any]:
        gesture = [moving.pop(name) for name in given]
        return dict(move(Noted(**choices, **moving), *gesture))

    try:
        program = recorded(run, {**inputs, **given})
    except Refused as error:
        error.reads = sorted(read & choices.keys())
        raise
    return program | {"reads": sorted(read & choices.keys())}


def recorded(
    function: Callable[..., Any],
    inputs: Mapping[str, Tensor | float],
    shape: Callable[..., Any] = lambda result, view: result,
) -> dict[str, Any]:
    """Record a function of numbers for the page.

    Args:
        function: a function of tensors float64, () or (n,), by their names.
        inputs: name -> numbers, those with which it runs once.
        shape: ``shape(result, view)`` returns the result as nested dictionaries and lists.

    Returns:
        ``code``, the text of a module (:func:`~nfteach.widgets.program.emit.emitted`); ``constants``, the number of a
        buffer -> its array; ``inputs``, the names; ``masks``, one for each output; ``tree``, the result with
        ``{"=": output}`` for what is computed, ``{"@": k}`` for what stands in ``arrays`` and ``{"~": pieces}`` for
        texts with numbers; ``texts``, (kind, number, details) for the places in these; ``guards``, (output, value):
        where it differs, the function would do something else.

    Raises:
        Refused: the function cannot be recorded; the message names the line.
    """
    given = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in inputs.items()}

    def find(result: Any, view: Callable[[Tensor], Any]) -> Any:
        return _mapped(shape(result, view), lambda leaf: view(leaf) if isinstance(leaf, Tensor) else leaf)

    recording = record(function, given, find, is_known)
    outputs: dict[View, int] = {}

    def refer(view: View) -> dict[str, int]:
        return {"=": outputs.setdefault(view, len(outputs))}

    arrays: dict[bytes, int] = {}
    pool: list[np.ndarray] = []

    def tell(leaf: Any) -> Any:
        if isinstance(leaf, View):
            return refer(leaf) | ({"shape": list(leaf.shape)} if leaf.shape else {"dtype": leaf.dtype})
        if isinstance(leaf, Tensor):
            if leaf.dim() == 0:
                return leaf.item()
            array = np.ascontiguousarray(leaf.numpy())
            key = repr((array.dtype, array.shape)).encode() + array.tobytes()
            if key not in arrays:
                arrays[key] = len(pool)
                pool.append(array)
            return {"@": arrays[key]}
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
        "constants": {str(k): array for k, array in kept.items()},
        "arrays": pool,
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
