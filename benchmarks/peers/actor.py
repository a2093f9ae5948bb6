"""Objects in separate processes.

Each library gets a process of its own: zuko changes ``torch.distributions`` for everyone in its process.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import torch

__all__ = ["START", "Actor"]

#: The start method of the processes. With "fork" they share the imports of this one, which is safe only before it has
#: computed gradients or used several threads.
START = "spawn"


class Actor:
    """An object in a fresh process whose methods are called one at a time.

    Args:
        make: a class or function at the top level of a module; the process creates its object by ``make(*args)``.
        args: the arguments of ``make``, which must be picklable.
        threads: the number of torch's threads in the process.

    Example::

        with Actor(make_model, "zuko", 2, threads=1) as actor:
            seconds = actor.call("seconds_of", "train")
    """

    def __init__(self, make: Callable[..., Any], *args: Any, threads: int = 1) -> None:
        context = multiprocessing.get_context(START)
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.send((make, args, {}))
        self._pending = True

    def call(self, method: str, *args: Any, **more: Any) -> Any:
        """Return ``object.method(*args, **more)``, computed in the process.

        Raises:
            RuntimeError: if the call fails, with the traceback of the process.
        """
        if self._pending:  # the object is created while others are
            self._pending = False
            self._receive()
        self._connection.send((method, args, more))
        return self._receive()

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(5)
        self._process.kill()

    def __enter__(self) -> Actor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self) -> Any:
        try:
            succeeded, answer = self._connection.recv()
        except EOFError:
            raise RuntimeError("the process ended without an answer; it may have run out of memory") from None
        if not succeeded:
            raise RuntimeError(answer)
        return answer


def _serve(connection: Connection, threads: int) -> None:
    """Answer the messages of an actor until its connection is closed."""
    torch.set_num_threads(threads)
    subject = None
    while True:
        try:
            what, args, more = connection.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            if isinstance(what, str):
                answer = getattr(subject, what)(*args, **more)
            else:
                subject, answer = what(*args, **more), None
            connection.send((True, answer))
        except KeyboardInterrupt:
            return
        except Exception:
            connection.send((False, traceback.format_exc()))
