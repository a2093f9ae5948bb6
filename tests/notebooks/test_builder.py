"""The builder of notebooks, on a small lesson: reproducible bytes, cut solutions, reported mistakes."""

import shutil
import struct
import zlib
from pathlib import Path

import nbformat
import pytest
from build_notebooks import main
from lessons.normalise import normalise, strip_png
from lessons.source import METADATA, LessonError, discover, read_lesson

FIXTURE = Path(__file__).parent / "fixture"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The fixture lesson, built once."""
    folder = tmp_path_factory.mktemp("course") / "notebooks"
    shutil.copytree(FIXTURE, folder)
    assert main(["--folder", str(folder)]) == 0
    return folder


@pytest.fixture
def course(built, tmp_path) -> Path:
    """A copy of the built fixture that a test may change."""
    return Path(shutil.copytree(built, tmp_path / "notebooks"))


def stored(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.ipynb"))}


def cells(folder: Path, name: str = "00_fixture.ipynb"):
    return nbformat.read(folder / name, as_version=nbformat.NO_CONVERT).cells


def write(folder: Path, text: str, name: str = "01_scratch.md") -> Path:
    path = folder / "source" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def code(body: str, options: str = "") -> str:
    return f"# A lesson\n\n```python{options}\n{body}\n```\n"


def test_building_again_changes_no_byte(course):
    before = stored(course)
    assert len(before) == 2
    assert main(["--folder", str(course), "--force"]) == 0
    assert stored(course) == before


def test_a_lesson_in_step_is_not_built_again(course, capsys):
    assert main(["--folder", str(course)]) == 0
    assert "0 of 1 lessons built" in capsys.readouterr().out


def test_the_fixture_covers_all_kinds_of_output(course):
    """The fixture has a plot with a description, a widget without live view, a checked cell, and no progress bar."""
    outputs = [output for cell in cells(course) if cell.cell_type == "code" for output in cell.outputs]
    (picture,) = [output for output in outputs if "image/png" in output.get("data", {})]
    assert picture.metadata["image/png"]["alt"] == "A straight line from (0, 0) to (1, 1)."
    assert [output.data for output in outputs if output.output_type == "execute_result"] == [
        {"text/plain": "IntSlider(value=7)"}
    ]
    assert [output.text for output in outputs if output.output_type == "stream"] == ["step\nstep\nstep\n", "1.625\n"]
    assert sum("nbval-check-output" in cell.metadata.get("tags", []) for cell in cells(course)) == 1


def test_the_solution_is_cut_from_one_set_and_kept_in_the_other(course):
    learner, solved = cells(course), cells(course, "solutions/00_fixture.ipynb")
    assert [cell.id for cell in learner] == [cell.id for cell in solved]
    texts = [("\n".join(cell.source for cell in one)) for one in (learner, solved)]
    assert "return 2 * x" not in texts[0]
    assert '    """Twice `x`."""\n    # your code here\n    ...' in texts[0]
    assert "    return 2 * x" in texts[1]
    assert "SOLUTION" not in "".join(texts)


@pytest.mark.parametrize("which", ["00_fixture.ipynb", "solutions/00_fixture.ipynb"])
def test_a_notebook_that_was_edited_by_hand_is_out_of_step(course, which, capsys):
    notebook = nbformat.read(course / which, as_version=nbformat.NO_CONVERT)
    notebook.cells[-1].source += "\n"
    nbformat.write(notebook, course / which)
    assert main(["--folder", str(course), "--check"]) == 1
    assert "has another source" in capsys.readouterr().out


def test_a_source_that_changed_is_out_of_step(course, capsys):
    source = course / "source/00_fixture.md"
    source.write_text(source.read_text() + "\nOne more line.\n")
    assert main(["--folder", str(course), "--check"]) == 1
    assert capsys.readouterr().out.count("its hash is another") == 2


def test_a_notebook_without_a_source_is_listed(course, capsys):
    shutil.copy(course / "00_fixture.ipynb", course / "05_lost.ipynb")
    assert main(["--folder", str(course), "--check"]) == 1
    assert "05_lost.ipynb has no source" in capsys.readouterr().out


def test_inserting_a_cell_keeps_the_other_ids(tmp_path):
    first = read_lesson(write(tmp_path, "# One\n\n## Two\n\ntext\n")).notebooks["learner"]
    second = read_lesson(write(tmp_path, "# One\n\n## Between\n\n## Two\n\ntext\n")).notebooks["learner"]
    assert [cell.id for cell in first.cells] == [second.cells[0].id, second.cells[2].id]


def test_the_code_of_a_figure_and_the_answer_to_a_prediction_are_folded(tmp_path):
    source = write(tmp_path, code("1", ' tags=["figure", "reveals"]') + code("2", ' tags=["nbval-check-output"]'))
    for notebook in read_lesson(source).notebooks.values():
        folded, plain = (cell.metadata for cell in notebook.cells if cell.cell_type == "code")
        assert folded["jupyter"] == {"source_hidden": True, "outputs_hidden": True}
        assert "jupyter" not in plain


def test_links_of_the_solved_notebook_are_relative_to_its_folder(tmp_path):
    text = "# T\n\n[a](02_nade.ipynb), [b](../README.md#x), [c](#T), [d](https://example.org/a.html), $f[i](x)$\n"
    solved = read_lesson(write(tmp_path, text)).notebooks["solved"].cells[0].source
    assert solved == text.strip().replace("../README.md", "../../README.md")


@pytest.mark.parametrize(
    "body",
    ["### BEGIN SOLUTION\n1", "1\n### END SOLUTION", "### BEGIN SOLUTION\n### BEGIN SOLUTION", "### BEGIN SOLUTIONS"],
)
def test_marks_without_a_partner_are_rejected(tmp_path, body):
    with pytest.raises(LessonError, match="01_scratch, cell 2: '### "):
        read_lesson(write(tmp_path, code(body)))


def test_a_failing_cell_stops_the_build_with_its_traceback(tmp_path, capsys):
    write(tmp_path, code("1 / 0"))
    assert main(["--folder", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "01_scratch (learner), cell 2 failed" in message
    assert "ZeroDivisionError" in message
    assert stored(tmp_path) == {}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("print(object())", "memory address"),
        ("import os; print(os.path.expanduser('~') + '/data')", "path of this machine"),
        ("import warnings; warnings.warn('odd', stacklevel=1)", "no warnings"),
    ],
)
def test_output_that_depends_on_the_machine_is_rejected(tmp_path, capsys, body, words):
    write(tmp_path, code(body))
    assert main(["--folder", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err


def test_an_unknown_lesson_is_answered_with_the_known_ones(tmp_path):
    write(tmp_path, "# T\n")
    with pytest.raises(LessonError, match=r"no lesson '09_none'.*01_scratch"):
        discover(tmp_path, "09_none")


def test_no_lessons_at_all_is_an_error(tmp_path):
    with pytest.raises(LessonError, match="no lesson sources"):
        discover(tmp_path)


def test_a_lesson_over_a_limit_fails_a_strict_build(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("build_notebooks.LIMIT_KILOBYTES", 0.1)
    write(tmp_path, code("print(1)"))
    assert main(["--folder", str(tmp_path), "--strict"]) == 1
    assert "over the limit: 01_scratch (learner)" in capsys.readouterr().err


def settled(*streams: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the streams, (name, text) each, that are stored for a cell that wrote `streams`."""
    outputs = [nbformat.v4.new_output("stream", name=name, text=text) for name, text in streams]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=outputs)])
    notebook.metadata = nbformat.from_dict(METADATA | {"nfteach": {}})
    normalise(notebook, "scratch")
    return [(output.name, output.text) for output in notebook.cells[0].outputs]


def test_streams_are_joined_and_rewritten_lines_collapse():
    assert settled(("stdout", "a\n"), ("stdout", "1\r22\r333\n"), ("stdout", "b")) == [("stdout", "a\n333\nb")]


def test_progress_bars_on_stderr_are_dropped():
    bar = "\r  0%|          | 0/3 [00:00<?, ?it/s]\r100%|##########| 3/3 [00:01<00:00, 2.9it/s]\n"
    assert settled(("stderr", bar), ("stdout", "done\n")) == [("stdout", "done\n")]


def test_a_picture_loses_its_notes_only():
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\x00\x7f")) + chunk(b"IEND", b"")
    notes = chunk(b"tEXt", b"Software\x00Matplotlib") + chunk(b"tIME", b"\x07\xea\x01\x01\x00\x00\x00")
    signature = b"\x89PNG\r\n\x1a\n"
    assert strip_png(signature + head + notes + body) == signature + head + body
    with pytest.raises(ValueError, match="data must be a PNG file"):
        strip_png(b"GIF89a")
