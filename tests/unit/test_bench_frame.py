"""What the benchmarks share: jobs are done once, an interrupt loses none, bad data ends in a sentence."""

import json
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from benchmarks import __main__ as everything
from benchmarks import frame, publish
from benchmarks.peers.actor import Actor
from nfteach.datasets import load_binary
from nfteach.training import History


class Counting(frame.Benchmark):
    """Three jobs; it notes which it does, and is stopped in one of them if asked."""

    name, data = "counting", True

    def __init__(self, seed=0, stopped_in=None):
        self.seed, self.stopped_in, self.done = seed, stopped_in, []

    def measure(self, run):
        run.expect(3)
        return {"squares": [self.square(run, n)["square"] for n in (2, 3, 4)]}

    def square(self, run, n):
        def work():
            if n == self.stopped_in:
                raise KeyboardInterrupt
            self.done.append(n)
            return {"square": n * n}

        return run.job(f"square of {n}", work, lambda result: f"{result['square']}", seed=self.seed)

    def tables(self, results):
        return [frame.Table("Squares", ["n", "n^2"], [["all", str(results["squares"])]], "By | hand.")]

    def picture(self, results):
        figure = Figure(figsize=(2, 1))
        figure.subplots().plot(results["squares"])
        return figure


@pytest.fixture
def out(tmp_path):
    return ["--out", str(tmp_path)]


def test_a_run_leaves_a_record_a_picture_and_a_table(tmp_path, out, capsys):
    assert Counting().main("doc", out) == 0
    said = capsys.readouterr().out
    assert "[1 of 3]  counting: square of 2  4" in said
    assert "Squares\nn           n^2\nall  [4, 9, 16]\n" in said
    record = json.loads((tmp_path / "counting.json").read_text())
    assert record["results"] == {"squares": [4, 9, 16]}
    assert record["command"] == "python -m benchmarks.counting"
    assert record["versions"]["torch"]
    assert record["machine"]["cores"] >= 1
    assert (tmp_path / "counting.png").read_bytes().startswith(b"\x89PNG")


def test_an_interrupted_run_goes_on_where_it_was(out, capsys):
    stopped = Counting(stopped_in=4)
    assert stopped.main("doc", out) == 130
    assert "interrupted; what is done is kept" in capsys.readouterr().out
    second = Counting()
    assert second.main("doc", out) == 0
    assert (stopped.done, second.done) == ([2, 3], [4])
    assert "square of 2  4  (done before)" in capsys.readouterr().out


def test_a_job_is_done_again_when_its_settings_change_or_all_is_to_be_fresh_or_its_file_is_cut(tmp_path, out):
    Counting().main("doc", out)
    for again, arguments, expected in [
        (Counting(), out, []),
        (Counting(seed=1), out, [2, 3, 4]),
        (Counting(seed=1), [*out, "--fresh"], [2, 3, 4]),
    ]:
        assert again.main("doc", arguments) == 0
        assert again.done == expected
    file = tmp_path / "counting" / "square_of_3.json"
    file.write_text(file.read_text()[:-20])
    again = Counting(seed=1)
    again.main("doc", out)
    assert again.done == [3]


def test_a_job_done_with_other_versions_or_elsewhere_does_not_count(out, monkeypatch):
    Counting().main("doc", out)
    monkeypatch.setattr(frame, "versions", lambda: {"torch": "0"})
    other = Counting()
    other.main("doc", out)
    assert other.done == [2, 3, 4]


def test_quick_results_never_take_the_place_of_true_ones(tmp_path, out):
    Counting().main("doc", out)
    before = (tmp_path / "counting.json").read_text()
    for _ in range(2):
        quick = Counting()
        assert quick.main("doc", [*out, "--quick"]) == 0
        assert quick.done == [2, 3, 4]
    assert (tmp_path / "counting.json").read_text() == before
    assert "--quick" in json.loads((tmp_path / "quick" / "counting.json").read_text())["command"]


def test_an_interrupted_training_is_no_result():
    assert frame.whole(History()).interrupted is False
    with pytest.raises(KeyboardInterrupt):
        frame.whole(History(interrupted=True))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "counting: set.npz is wanted; name the folder that holds it with --data"),
        (["--data", "nowhere"], "counting: path: there is no file nowhere/set.npz"),
    ],
)
def test_missing_data_ends_in_one_sentence(out, capsys, given, sentence):
    class Wanting(Counting):
        def measure(self, run):
            return run.load(load_binary, run.data("set.npz"))

    assert Wanting().main("doc", [*out, *given]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.strip().splitlines()) == 1


def test_a_table_holds_rows_to_its_columns():
    with pytest.raises(ValueError, match="a row has 1 cells for 2 columns"):
        frame.Table("T", ["a", "b"], [["one"]])


def test_a_table_in_markdown_keeps_its_bars():
    text = frame.Table("T", ["a", "|b|"], [["one", "2"]], "Note.").markdown()
    assert text == "**T**\n\n| a | \\|b\\| |\n| --- | ---: |\n| one | 2 |\n\nNote."


def test_results_go_to_their_places_and_only_there(tmp_path, out):
    Counting().main("doc", out)
    records = {"counting": json.loads((tmp_path / "counting.json").read_text())}
    page = "# R\n\n<!-- counting -->\nold\n<!-- /counting -->\n\nWords.\n\n<!-- other -->\nkept\n<!-- /other -->\n"
    once = publish.filled(page, records)
    assert "old" not in once
    assert "| all | [4, 9, 16] |" in once
    assert "![The tables below as a picture: Squares](results/counting.png)" in once
    assert once.endswith("Words.\n\n<!-- other -->\nkept\n<!-- /other -->\n")
    assert publish.filled(once, records) == once
    with pytest.raises(ValueError, match="no place for counting; it has places for other"):
        publish.filled("<!-- other -->\n<!-- /other -->\n", records)


def test_an_unknown_benchmark_is_refused_by_name():
    done = subprocess.run([sys.executable, "-m", "benchmarks", "nada"], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"there is no benchmark nada; there are {', '.join(everything.NAMES)}" in done.stderr


class Echo:
    """What the actor holds in the test below."""

    def __init__(self, word):
        self.word = word

    def say(self, times):
        return self.word * times

    def fail(self):
        raise LookupError("not here")


def test_an_actor_answers_from_its_own_process_and_brings_errors_home():
    with Actor(Echo, "ha") as actor:
        assert actor.ask("say", 3) == "hahaha"
        with pytest.raises(RuntimeError, match="LookupError: not here"):
            actor.ask("fail")
        assert actor.ask("say", times=1) == "ha"
