r"""A question that is answered before the answer is shown.

The page asks, judges and answers by itself, and the kernel is only told: a learner whose kernel trains, or is gone, is
answered at once. That is why this is an ``anywidget`` and not made of ``RadioButtons`` and ``HTMLMath``: their
callbacks wait for the kernel wherever messages have no thread of their own (VS Code, Colab, JupyterLab before 4.4), and
``RadioButtons`` shows no TeX. TeX is typeset by what the page has: JupyterLab's and Notebook 7's typesetter, reached as
``HTMLMath`` reaches it; else MathJax, where it is loaded; else (VS Code and Colab have neither in a widget's page) the
page asks the kernel once for pictures drawn by matplotlib, and shows the TeX as typed until they come.

The answers are not in the code of a lesson, which says ``predict("06 nice height")``: see ``questions.py``. What the
notebook stores is the question as Markdown, with the answers folded below it, in plain text: a reader without a kernel,
or where widgets are not shown, may look them up, too.
"""

from __future__ import annotations

import pathlib
from typing import Any

import anywidget
import traitlets

from nfteach.widgets.prediction.formula import formula_picture
from nfteach.widgets.prediction.number import read
from nfteach.widgets.prediction.spec import (
    LETTERS,
    Choices,
    Wrong,
    check_choices,
    check_number,
    in_markdown,
    in_words,
    judge,
    tidy,
)

__all__ = ["Prediction"]

_HERE = pathlib.Path(__file__).parent
TRIES = 2


class Prediction(anywidget.AnyWidget):
    r"""A question with choices, or for a number, committed before the answer is shown.

    A first wrong answer gets its feedback, and a second try. The explanation follows once an answer is right, two are
    wrong, or the learner asks for it.

    All texts may hold ``code`` between backticks, TeX between dollars, ``*emphasis*`` and ``**strong**``. An empty line
    begins a paragraph.

    Args:
        question: the text of the question.
        choices: label -> feedback for a wrong choice, or ``("right", explanation)``; exactly one of these. Pairs are
            accepted, too. The labels get the letters a, b, c, ...
        number: in place of choices: the right number, or an expression such as ``"log(3/2)"``. Learners may type an
            expression, too.
        tolerance: the largest error that counts as right, by default 1 % of `number`, or 0 if `number` is whole. A
            number typed with two digits or more is also right if it is `number` rounded to its digits.
        unit: the unit of the number, such as "nats".
        explanation: the reason why it is that number.
        wrong: wrong number (or expression) -> its feedback.
        otherwise: feedback for all other wrong numbers.

    Attributes:
        committed: the label or the number of the last try; None as long as nothing is committed.
        right: whether that is right; None as long as nothing is committed.
        feedback: the feedback to the last try, or the explanation if it is right.

    Raises:
        ValueError: no right choice or two, a label twice, no feedback, a negative tolerance, a wrong number that would
            count as right, TeX that was not written as a raw string.

    Example:
        >>> prediction = Prediction(
        ...     "What does $x = 2z$ do to the height of the density?",
        ...     {"It doubles.": "What is the area then?", "It halves.": ("right", "The area stays 1.")},
        ... )
        >>> prediction
        Prediction(not answered)
        >>> prediction.commit("a")
        >>> prediction.committed, prediction.right, prediction.feedback
        ('It doubles.', False, 'What is the area then?')
        >>> prediction.commit("It halves.")
        >>> prediction
        Prediction(a, b, right)
        >>> slope = Prediction(
        ...     r"What is $\log\lvert dx/dz \rvert$ for $x = z/2$?",
        ...     number="-log(2)",
        ...     unit="nats",
        ...     explanation=r"It is $-\log 2$.",
        ...     wrong={"log(2)": "Does space grow or shrink?", 0.5: "That is the slope itself."},
        ... )
        >>> slope.commit("0.69 nats")
        >>> slope.commit("log(1/2)")
        >>> slope
        Prediction(0.69 nats, log(1/2), right)
    """

    # The text, not the path: anywidget would watch the file, and keep every widget for that.
    _esm = (_HERE / "prediction.js").read_text(encoding="utf-8")
    _css = (_HERE / "prediction.css").read_text(encoding="utf-8")

    _spec = traitlets.Dict().tag(sync=True)
    # For each try the number of the choice, or the number as it was typed.
    _tries = traitlets.List().tag(sync=True)
    _given_up = traitlets.Bool(help="the learner asked for the answer").tag(sync=True)
    _pictures = traitlets.Dict(help="TeX -> its picture, once the page has asked").tag(sync=True)

    def __init__(
        self,
        question: str,
        choices: Choices | None = None,
        *,
        number: float | str | None = None,
        tolerance: float | None = None,
        unit: str = "",
        explanation: str = "",
        wrong: Wrong | None = None,
        otherwise: str = "",
    ) -> None:
        spec: dict[str, Any] = {"question": tidy("question", question)}
        if (choices is None) == (number is None):
            raise ValueError(
                f"either choices or number must be given, but {'neither' if number is None else 'both'} is"
            )
        if choices is None:
            spec |= check_number(number, tolerance, unit, explanation, wrong or {}, otherwise)
        elif tolerance is not None or unit or explanation or wrong or otherwise:
            raise ValueError("tolerance, unit, explanation, wrong and otherwise go with number; choices have feedback")
        else:
            spec |= check_choices(choices)
        super().__init__(_spec=spec)
        self.on_msg(self._receive)

    def commit(self, choice: str | float) -> None:
        """Commit, as a learner would: a choice by its label or its letter, a number or what is typed for it.

        Raises:
            ValueError: there is no such choice, it is not a number, or the answer is shown already.
        """
        if self._finished:
            raise ValueError("the answer is shown already; make the prediction again to start over")
        self._tries = [*self._tries, self._answer(choice)]

    def _answer(self, choice: str | float) -> int | str:
        if "number" in self._spec:
            typed = choice if isinstance(choice, str) else f"{choice:.15g}"
            read(typed, self._spec["number"]["unit"])
            return typed
        labels = [one["label"] for one in self._spec["choices"]]
        for known in (labels, list(LETTERS[: len(labels)])):
            if choice in known:
                return known.index(choice)
        raise ValueError(f"choice must be one of {', '.join(map(repr, labels))}, but is {choice!r}")

    def show_answer(self) -> None:
        """Give up, as a learner would: show the answer."""
        self._given_up = True

    @property
    def _finished(self) -> bool:
        return self._given_up or bool(self.right) or len(self._tries) == TRIES

    @property
    def committed(self) -> str | float | None:
        """The label or the number of the last try; None as long as nothing is committed."""
        if not self._tries:
            return None
        if "number" in self._spec:
            return read(self._tries[-1], self._spec["number"]["unit"]).value
        return self._spec["choices"][self._tries[-1]]["label"]

    @property
    def right(self) -> bool | None:
        """Whether the last try is right; None as long as nothing is committed."""
        return judge(self._spec, self._tries[-1])[0] if self._tries else None

    @property
    def feedback(self) -> str:
        """The feedback to the last try, or the explanation if it is right; empty as long as nothing is committed."""
        return judge(self._spec, self._tries[-1])[1] if self._tries else ""

    @traitlets.validate("_tries")
    def _check_tries(self, proposal: dict[str, Any]) -> list[int | str]:
        """Check what comes from a page, which may be another version's."""
        tries = proposal["value"]
        try:
            good = not any([judge(self._spec, one)[0] for one in tries][:-1]) and len(tries) <= TRIES
            good = good and not any(isinstance(one, int) and one < 0 for one in tries)
        except (ValueError, TypeError, AttributeError, IndexError):
            good = False
        if not good:  # as a TraitError, after which traitlets puts back what was there
            raise traitlets.TraitError(f"{tries!r} can't be committed here")
        return tries

    def _receive(self, _: Any, content: Any, buffers: Any) -> None:
        # Drawn only where a page asks: the pictures cost some 10 ms a formula.
        if isinstance(content, dict) and content.get("type") == "pictures":
            drawn = {tex: formula_picture(tex) for tex in content.get("formulas", ())}
            self._pictures = {tex: picture for tex, picture in drawn.items() if picture is not None}

    def __repr__(self) -> str:
        tries = [LETTERS[one] if "choices" in self._spec else one for one in self._tries]
        state = "not answered" if not tries else "right" if self.right else "wrong"
        return f"Prediction({', '.join([*tries, state])})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/plain": in_words(self._spec), "text/markdown": in_markdown(self._spec)}, metadata
