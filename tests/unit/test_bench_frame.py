"""The framework of the benchmarks: jobs run once, interrupts lose none of them, bad data ends in one sentence."""

import json
import math
from collections import deque

import pytest
from matplotlib.figure import Figure

from benchmarks import __main__ as everything
from benchmarks import frame, publish
from benchmarks.numbers import mean_and_error, plus_minus, spread
from benchmarks.peers import actor
from nfteach.datasets import load_binary
from nfteach.training import History


class Counting(frame.Benchmark):
    """A benchmark of three jobs that records the jobs it runs and can be interrupted in one of them."""

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
    assert Counting().main(out) == 0
    printed = capsys.readouterr().out
    assert "[1 of 3]  counting: square of 2  4" in printed
    assert "Squares\nn           n^2\nall  [4, 9, 16]\n" in printed
    record = json.loads((tmp_path / "counting.json").read_text())
    assert record["results"] == {"squares": [4, 9, 16]}
    assert record["command"] == "python -m benchmarks.counting"
    assert record["versions"]["torch"]
    assert record["machine"]["cores"] >= 1
    assert (tmp_path / "counting.png").read_bytes().startswith(b"\x89PNG")


def test_an_interrupted_run_is_resumed(out, capsys):
    stopped = Counting(stopped_in=4)
    assert stopped.main(out) == 130
    assert "interrupted; finished jobs are kept" in capsys.readouterr().out
    second = Counting()
    assert second.main(out) == 0
    assert (stopped.done, second.done) == ([2, 3], [4])
    assert "square of 2  4  (cached)" in capsys.readouterr().out


def test_a_job_is_repeated_for_new_settings_or_on_request_or_if_its_file_is_damaged(tmp_path, out):
    Counting().main(out)
    for again, arguments, expected in [
        (Counting(), out, []),
        (Counting(seed=1), out, [2, 3, 4]),
        (Counting(seed=1), [*out, "--fresh"], [2, 3, 4]),
    ]:
        assert again.main(arguments) == 0
        assert again.done == expected
    file = tmp_path / "counting" / "square_of_3.json"
    file.write_text(file.read_text()[:-20])
    again = Counting(seed=1)
    again.main(out)
    assert again.done == [3]


def test_a_job_is_repeated_for_other_versions_or_machines(out, monkeypatch):
    Counting().main(out)
    for name in ("versions", "machine"):
        monkeypatch.setattr(frame, name, lambda: {"another": "0"})
        other = Counting()
        other.main(out)
        assert other.done == [2, 3, 4]


def test_quick_results_never_replace_full_ones(tmp_path, out):
    Counting().main(out)
    before = (tmp_path / "counting.json").read_text()
    for _ in range(2):
        quick = Counting()
        assert quick.main([*out, "--quick"]) == 0
        assert quick.done == [2, 3, 4]
    assert (tmp_path / "counting.json").read_text() == before
    assert "--quick" in json.loads((tmp_path / "quick" / "counting.json").read_text())["command"]


def test_an_interrupted_training_is_not_a_result():
    assert frame.completed(History()).interrupted is False
    with pytest.raises(KeyboardInterrupt):
        frame.completed(History(interrupted=True))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "counting: set.npz is needed; name the folder that holds it with --data"),
        (["--data", "nowhere"], "counting: path: there is no file nowhere/set.npz"),
    ],
)
def test_missing_data_ends_in_one_sentence(out, capsys, given, sentence):
    class Wanting(Counting):
        def measure(self, run):
            return run.load(load_binary, run.data("set.npz"))

    assert Wanting().main([*out, *given]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.strip().splitlines()) == 1


def test_a_row_of_another_length_is_rejected():
    with pytest.raises(ValueError, match="rows must have 2 cells"):
        frame.Table("T", ["a", "b"], [["one"]])


def test_bars_are_escaped_in_markdown():
    text = frame.Table("T", ["a", "|b|"], [["one", "2"]], "Note.").markdown()
    assert text == "**T**\n\n| a | \\|b\\| |\n| --- | ---: |\n| one | 2 |\n\nNote."


def test_numbers_are_formatted_with_errors_and_ranges():
    assert plus_minus(-9.843, 0.1) == "-9.84 ± 0.10"
    assert plus_minus(0.5, 0.25, digits=3, sign="+") == "+0.500 ± 0.250"
    assert spread(0.97, 1.02, 1.1, digits=2) == "1.02 (0.97 to 1.10)"
    assert spread(0.5, 12.345, 2e5) == "12.3 (0.5 to 200,000)"


def test_the_error_of_a_mean_is_the_standard_error():
    assert mean_and_error([1.0, 2.0, 6.0]) == pytest.approx((3, (7 / 3) ** 0.5))
    mean, error = mean_and_error([4.0])
    assert mean == 4
    assert math.isnan(error)


def test_results_fill_their_places_on_the_page_and_nothing_else(tmp_path, out):
    Counting().main(out)
    records = {"counting": json.loads((tmp_path / "counting.json").read_text())}
    page = "# R\n\n<!-- counting -->\nold\n<!-- /counting -->\n\nWords.\n\n<!-- other -->\nkept\n<!-- /other -->\n"
    once = publish.filled(page, records)
    assert "old" not in once
    assert "| all | [4, 9, 16] |" in once
    assert "![The tables below as a picture: Squares](results/counting.png)" in once
    assert once.endswith("Words.\n\n<!-- other -->\nkept\n<!-- /other -->\n")
    assert publish.filled(once, records) == once
    with pytest.raises(ValueError, match="a place for counting, but has other"):
        publish.filled("<!-- other -->\n<!-- /other -->\n", records)


def test_an_unknown_benchmark_is_rejected_by_name(capsys):
    with pytest.raises(SystemExit, match="2"):
        everything.main(["nada"])
    assert f"NAME must be one of {', '.join(everything.NAMES)}, but is nada" in capsys.readouterr().err


def test_quick_runs_report_the_output_and_the_status_of_each_benchmark(out, monkeypatch, capfd):
    monkeypatch.setattr(everything, "LATE", ())
    monkeypatch.setattr(actor, "START", actor.START)  # to be restored
    assert everything.main(["rnade", "nade", "--quick", *out, "--data", "nowhere"]) == 2
    printed = capfd.readouterr().out
    assert "== nade\nnade: --data must be a folder, but nowhere is not" in printed
    assert "== rnade\nrnade: path: there is no file nowhere/red_wine.npz" in printed


def test_an_actor_returns_results_and_raises_errors_of_its_process():
    with actor.Actor(deque, "haha") as words:
        assert words.call("count", "h") == 2
        with pytest.raises(RuntimeError, match="ValueError: 'o' is not in deque"):
            words.call("index", "o")
        assert words.call("index", "a", 2) == 3
