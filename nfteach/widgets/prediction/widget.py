r"""A question that is answered before the answer is shown.

The page asks, judges and answers by itself, and the kernel is only told: a learner whose kernel trains, or is gone, is
answered at once. That is why this is an ``anywidget`` and not made of ``RadioButtons`` and ``HTMLMath``: their
callbacks wait for the kernel wherever messages have no thread of their own (VS Code, Colab, JupyterLab before 4.4), and
``RadioButtons`` shows no TeX. TeX is typeset by what the page has: JupyterLab's and Notebook 7's typesetter, reached as
``HTMLMath`` reaches it; else MathJax, where it is loaded; else (VS Code and Colab have neither in a widget's page) the
page asks the kernel once for pictures drawn by matplotlib, and shows the TeX as typed until they come.

What a lesson should do: the answer stands in the source cell, so fold that cell away. In the lesson's source::

    ```python jupyter={"source_hidden": true}
    Prediction(
        r"Two points lie on the same plane $w^\top z = c$. How do they move?",
        {
            "the one further from the origin moves further": "The origin plays no role. The *plane* does.",
            "by exactly the same vector": ("right", r"All that $f$ asks about $z$ is $w^\top z + b$."),
            "in the same direction, by different lengths": "Nothing is left in which the two could differ.",
        },
    )
    ```

The notebook then shows one thin bar with the cell's first line in place of the code: let that line be ``Prediction(``,
which tells nothing, and import elsewhere. (``source_hidden`` is read by JupyterLab, Notebook 7 and VS Code; a tag such
as ``hide-input`` only by programs that make books.) What the notebook stores is the question as Markdown, with the
answer folded below it: it reads well with no kernel, and where widgets are not shown.
"""

from __future__ import annotations

import pathlib
from typing import Any

import anywidget
import traitlets

from nfteach.widgets.prediction.spec import (
    LETTERS,
    Choices,
    Wrong,
    check_choices,
    check_number,
    in_markdown,
    in_words,
    judge,
    read,
)
from nfteach.widgets.prediction.text import cut, formula_picture, formulas, to_plain

__all__ = ["Prediction"]

_HERE = pathlib.Path(__file__).parent


class Prediction(anywidget.AnyWidget):
    r"""A question with choices, or for a number, committed before the answer is shown.

    All texts may hold ``code`` between backticks, TeX between dollars, ``*emphasis*`` and ``**strong**``. An empty line
    begins a paragraph of the question.

    Args:
        question: what is asked.
        choices: label -> feedback for a wrong choice, or ``("right", explanation)``; of these exactly one. Pairs do,
            too. The labels get the letters a, b, c, ...
        number: in place of choices: the right number, which the learner types in.
        tolerance: how far off still counts as right; must be given unless ``number`` is whole.
        unit: of the number, such as "nats".
        explanation: why it is that number.
        wrong: feedback for wrong numbers that have a name, the first that fits. What it is for: a number (within the
            tolerance), a pair (low, high) with None for an open end, or a function that makes the wrong number from
            the right one, such as ``lambda right: -right`` for a slip of the sign.
        otherwise: feedback for all other wrong numbers.

    Attributes:
        committed: the label chosen or the number given; None as long as nothing is committed.
        right: whether that is right; None as long as nothing is committed.
        feedback: what the learner is told about it.

    Raises:
        ValueError: no right choice or two, a label twice, no feedback, a negative tolerance, a wrong number that would
            count as right, TeX that was not written as a raw string.

    Example:
        >>> prediction = Prediction(
        ...     "What does $x = 2z$ do to the height of the density?",
        ...     {"It doubles.": "Then the area would be 2.", "It halves.": ("right", "The area stays 1.")},
        ... )
        >>> prediction
        Prediction(not answered)
        >>> prediction.commit("a")
        >>> prediction.committed, prediction.right
        ('It doubles.', False)
        >>> prediction.think_again()
        >>> prediction.commit("It halves.")
        >>> prediction
        Prediction(b, right)
        >>> slope = Prediction(
        ...     r"What is $\log\lvert dx/dz \rvert$ for $x = z/2$?",
        ...     number=-0.693,
        ...     tolerance=0.01,
        ...     unit="nats",
        ...     explanation=r"It is $-\log 2$.",
        ...     wrong={lambda right: -right: "The sign: space shrinks.", 0.5: "That is the slope itself."},
        ... )
        >>> slope.commit("0.69 nats")
        >>> slope
        Prediction(0.69, wrong)
    """

    _esm = _HERE / "prediction.js"
    _css = _HERE / "prediction.css"

    _spec = traitlets.Dict().tag(sync=True)
    # The number of the choice, or the number as it was typed.
    _committed = traitlets.Union([traitlets.Int(), traitlets.Unicode()], default_value=None, allow_none=True).tag(
        sync=True
    )
    _pictures = traitlets.Dict(help="TeX -> its picture, once the page has asked").tag(sync=True)

    def __init__(
        self,
        question: str,
        choices: Choices | None = None,
        *,
        number: float | None = None,
        tolerance: float | None = None,
        unit: str = "",
        explanation: str = "",
        wrong: Wrong | None = None,
        otherwise: str = "",
    ) -> None:
        spec: dict[str, Any] = {"question": cut("question", question)}
        if (choices is None) == (number is None):
            raise ValueError(f"give either choices or number; {'neither' if number is None else 'both'} came")
        if choices is not None:
            own = {
                "tolerance": tolerance,
                "unit": unit,
                "explanation": explanation,
                "wrong": wrong,
                "otherwise": otherwise,
            }
            if given := [name for name, value in own.items() if value not in (None, "")]:
                raise ValueError(f"{given[0]} goes with number=...; each of the choices brings its own feedback")
            spec |= check_choices(choices)
        else:
            spec |= check_number(number, tolerance, unit, explanation, wrong or {}, otherwise)
        super().__init__(_spec=spec)
        self.on_msg(self._hear)

    def commit(self, choice: str | float) -> None:
        """Commit, as a learner would: a choice by its label or its letter, a number or what is typed for it.

        Raises:
            ValueError: no such choice, no number, or something is committed already.
        """
        if self._committed is not None:
            raise ValueError(f"{self.committed!r} is committed already; think_again() opens the question again")
        if "number" in self._spec:
            typed = choice if isinstance(choice, str) else f"{choice:.15g}"
            read(typed, self._spec["number"]["unit_plain"])
            self._committed = typed
            return
        labels = [one["plain"] for one in self._spec["choices"]]
        for names in (labels, list(LETTERS[: len(labels)])):
            if choice in names:
                self._committed = names.index(choice)
                return
        raise ValueError(f"there is no choice {choice!r}; there are: {', '.join(map(repr, labels))}")

    def think_again(self) -> None:
        """Take back what was committed."""
        self._committed = None

    @property
    def committed(self) -> str | float | None:
        """The label chosen or the number given; None as long as nothing is committed."""
        committed = self._committed
        if committed is None:
            return None
        if "number" in self._spec:
            return read(committed, self._spec["number"]["unit_plain"])
        return self._spec["choices"][committed]["plain"]

    @property
    def right(self) -> bool | None:
        """Whether what was committed is right; None as long as nothing is committed."""
        committed = self._committed
        return None if committed is None else judge(self._spec, committed)[0]

    @property
    def feedback(self) -> str:
        """What the learner is told about what was committed; empty as long as nothing is."""
        committed = self._committed
        return "" if committed is None else to_plain(judge(self._spec, committed)[1])

    @traitlets.validate("_committed")
    def _check_committed(self, proposal: dict[str, Any]) -> int | str | None:
        """Whoever sets it: the page that sends it may be another version's."""
        value = proposal["value"]
        try:
            if value is not None:
                judge(self._spec, value)
            good = not isinstance(value, int) or value >= 0
        except (ValueError, TypeError, AttributeError, IndexError):
            good = False
        if not good:  # as a TraitError, after which traitlets puts back what was there
            raise traitlets.TraitError(f"{value!r} can't be committed here")
        return value

    def _hear(self, _: Any, content: Any, buffers: Any) -> None:
        # Drawn only where a page asks: the pictures cost some 10 ms a formula.
        if isinstance(content, dict) and content.get("type") == "pictures" and not self._pictures:
            drawn = {tex: formula_picture(tex) for tex in formulas(self._spec)}
            self._pictures = {tex: picture for tex, picture in drawn.items() if picture is not None}

    def __repr__(self) -> str:
        committed = self._committed
        if committed is None:
            return "Prediction(not answered)"
        given = LETTERS[committed] if "choices" in self._spec else f"{self.committed:g}"
        return f"Prediction({given}, {'right' if self.right else 'wrong'})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/plain": in_words(self._spec), "text/markdown": in_markdown(self._spec)}, metadata
