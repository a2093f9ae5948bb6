"""The self-test of lesson 00; its explorer is in the registry."""

from __future__ import annotations

from nfteach.widgets import SelfTest
from tests.explorers.front_end import say


def test_the_self_test_answers_and_has_words_for_a_stored_page(monkeypatch) -> None:
    widget, sent = SelfTest(), []
    monkeypatch.setattr(widget, "send", lambda content, buffers=None: sent.append(content))
    say(widget, question="are you there?")
    assert sent == [{"answer": "yes"}]
    data, _ = widget._repr_mimebundle_()
    assert "has not run" in data["text/html"]
    assert repr(widget) == "SelfTest()"
