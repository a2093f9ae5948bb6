"""An object in a process of its own: zuko changes torch.distributions for all, and no library should load another's."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import torch

__all__ = ["Actor"]


class Actor:
    """An object that lives in a fresh process and is asked one thing at a time.

    Args:
        make: a function at the top of a module; ``make(*args)`` is called over there, and what it returns is asked.
        args: what pickle can send.
        threads: of torch over there.

    Example::

        with Actor(make_model, "zuko", 2, threads=1) as actor:
            seconds = actor.ask("seconds_of", "train")
    """

    def __init__(self, make: Callable[..., Any], *args: Any, threads: int = 1) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
        self._process.start()
        theirs.close()
        self._exchange((make, args, {}))

    def ask(self, method: str, *args: Any, **more: Any) -> Any:
        """``object.method(*args, **more)``, over there.

        Raises:
            RuntimeError: with the traceback from over there.
        """
        return self._exchange((method, args, more))

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

    def _exchange(self, message: tuple) -> Any:
        self._connection.send(message)
        try:
            well, answer = self._connection.recv()
        except EOFError:
            raise RuntimeError("the process ended without an answer; was it killed for memory?") from None
        if not well:
            raise RuntimeError(answer)
        return answer


def _serve(connection: Connection, threads: int) -> None:
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
