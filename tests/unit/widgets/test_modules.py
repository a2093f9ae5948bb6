"""The modules of the page, joined into one text."""

import pathlib
import re

import pytest

from nfteach.widgets import stage
from nfteach.widgets.stage.modules import joined


@pytest.fixture
def folder(tmp_path):
    """Return what writes modules, the first one the entry, and joins them."""

    def join(*texts: str) -> str:
        for name, text in zip("abcdef", texts, strict=False):
            (tmp_path / f"{name}.js").write_text(text)
        return joined(tmp_path / "a.js")

    return join


def test_each_module_stands_once_after_what_it_needs(folder):
    text = folder(
        'import { b } from "./b.js";\nimport { c } from "./c.js";\n\nexport default () => b + c;\n',
        'import {\n  c,\n} from "./c.js";\nexport const b = c + 1;\n',
        "const hidden = 1;\nexport const c = hidden;\n",
    )
    assert re.findall(r"^\S.*", text, re.MULTILINE) == [
        "const hidden = 1;", "const c = hidden;", "const b = c + 1;", "export default () => b + c;",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (('import { b } from "./b.js";\n', "const b = 1;\n"), "a.js imports 'b', which b.js does not export"),
        (('import { b } from "./b.js";\nfunction c() {}\n', "export let b;\nclass c {}\n"), "'c' is declared in b.js"),
        (('import { b } from "./b.js";\n', 'import { a } from "./a.js";\nexport const b = a;\n'), "import itself"),
        (("import b from './b.js';\n",), "must be of the form"),
        (('import { a as b } from "./b.js";\n', "export const a = 1;\n"), "imports 'a as b'"),
        (("export { a };\n",), "must be of the form"),
        (("const { a, b } = c;\n",), "one name at a time"),
    ],
)
def test_a_module_that_cannot_be_joined_is_named(folder, texts, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        folder(*texts)


def test_a_live_figure_brings_one_module():
    text = joined(pathlib.Path(stage.__file__).parent / "page" / "main.js")
    assert not re.search(r"^(import|export (?!default))", text, re.MULTILINE)
    assert text.count("\nexport default ") == 1
