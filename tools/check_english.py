"""Check the English of docstrings, comments, messages and test names, by default in the rooms listed below."""

import ast
import re
import sys
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Files, folders and patterns that are checked when none are named.
ROOMS = [
    "nfteach/flows",
    "nfteach/training",
    "nfteach/targets",
    "nfteach/datasets.py",
    "nfteach/plots",
    "nfteach/exercises",
    "tools",
    "benchmarks",
    "tests/unit/flows",
    "tests/unit/exercises",
    "tests/unit/test_training.py",
    "tests/unit/test_targets.py",
    "tests/unit/test_datasets.py",
    "tests/unit/test_plots.py",
    "tests/unit/test_bench_*.py",
    "tests/unit/test_architecture.py",
    "tests/unit/test_environment.py",
    "tests/unit/test_check_english.py",
    "tests/unit/test_run_tests.py",
    "tests/notebooks/test_builder.py",
    "tests/explorers",
    "tests/peers",
    "tests/unit/widgets",
    "tests/unit/test_privacy.py",
    "tests/unit/jacobian/test_unharmed.py",
    "tests/unit/jacobian/test_copies.py",
    "tests/unit/jacobian/keepers.py",
    "tests/unit/jacobian/test_any_map.py",
    "nfteach/jacobian/any_map.py",
    "nfteach/jacobian/bases.py",
    "nfteach/jacobian/reach.py",
    "nfteach/jacobian/unharmed.py",
    "nfteach/jacobian/copier.py",
    "nfteach/jacobian/twin.py",
    "nfteach/jacobian/borrowed.py",
    "nfteach/jacobian/views",
    "nfteach/jacobian/stack.py",
    "nfteach/jacobian/report.py",
    "nfteach/jacobian/layers.py",
    "nfteach/jacobian/numbers.py",
    "nfteach/lazy.py",
    "nfteach/testing.py",
    "nfteach/pytest_plugin.py",
    "tests/unit/test_distribution.py",
    "tests/unit/test_pytest_plugin.py",
    "tests/unit/jacobian/test_report.py",
]

#: Verbs, in the imperative, with which the docstring of a function may open. Add a plain one where it is missing.
VERBS = _words("""
    abort accept access accumulate activate adapt add adjust advance aggregate align allocate allow annotate answer
    append apply arrange assemble assert assign attach attend augment average avoid backpropagate beat begin bin
    binarise binarize bind bisect block blur bound bracket break bring broadcast build bundle cache calculate call
    cap cast catch center centre chain change check choose chunk clamp classify clean clear click clip clone close
    cluster collapse collect colour combine compare compile compose compress compute concatenate condition configure
    confirm connect construct consume contract convert copy correct count cover create crop cut deactivate deal
    decide declare decode decompose decompress decorate decrease deduplicate define delay delete demonstrate
    deprecate dequantise dequantize derive describe deserialise deserialize detach detect determine differentiate
    disable discard discover discretise discretize dispatch display distribute divide do download drag draw drive
    drop dump duplicate eliminate emit emulate enable encode end enforce enlarge ensure enter enumerate equip erase
    escape estimate evaluate evict exchange exclude execute exit expand expect explain export expose extend extract
    factor factorise factorize fail fetch fill filter finalise finalize find finish fit fix flatten flip follow
    forbid force fork format forward freeze gather generate get give grab group grow guard handle hash have hide
    highlight hold identify ignore implement import impute include increase index indicate infer inform inherit
    initialise initialize inject insert inspect install instantiate integrate interleave interpolate interpret
    intersect invalidate invert invoke isolate iterate join judge keep label launch lay lead learn leave let lift
    limit linearise linearize link list load locate lock look loop lower make map mark mask match materialise
    materialize measure mention merge mimic minimise minimize mix mock model modify monitor monkeypatch move
    multiply name negate nest normalise normalize note notify number observe obtain offer omit open optimise
    optimize order outline overload overwrite pack pad paint pair parametrise parametrize parse partition pass patch
    perform permit permute perturb pick pickle place play plot point populate postprocess precompute predict prefer
    prepare prepend preprocess present preserve press prevent print probe process produce project propagate protect
    prove provide prune publish pull push put quantise quantize query quit quote raise randomise randomize range
    rank ravel reach read rebuild receive recommend recompute reconstruct record recover recurse redirect redo
    reduce refer refine refit refresh refuse register reject relabel relate release reload remember remove rename
    render reorder reparameterise reparameterize repeat replace replay report represent reproduce request require
    resample rescale reset reshape resize resolve respond restart restore restrict resume retain retrieve retry
    return reuse reveal reverse rewrite rotate round route run sample satisfy save scale scan schedule score scroll
    seal search see seed select send separate serialise serialize serve set settle shade share shift show shrink
    shuffle shut sign silence simplify simulate skip slice slide slow smooth solve sort specify split spread square
    squeeze stack standardise standardize start state stop store stream stretch strip study style submit subtract
    suggest sum summarise summarize supply support suppress swap switch tabulate tag take temper terminate test
    throw tick tighten time tokenise tokenize touch trace track train transfer transform translate transpose
    traverse treat trigger trim truncate try tune turn undo unflatten unite unpack unpickle unregister unsqueeze
    unwrap update upgrade use validate verify view visit vstack wait walk warm warn warp weigh weight wrap write
    yield zip
    """)

#: A class or a property is a thing. These are verbs and nothing else, so no noun phrase opens with one.
ACTIONS = _words("""
    apply build compute convert create decide draw find get give hold initialise keep let make put raise read remember
    remove reorder return select show take wrap write
    """)

#: Openings that no docstring may have.
CLAUSES = _words("how of that what whatever where wherever whether which whichever who whoever whom whose why")

#: Openings that the docstring of a module, class or property may not have either.
NOT_NOUNS = _words("after afterwards as before by for if it its so such they those to when whenever")

#: Openings of comments. A question ("What if x is empty?") is not a clause.
COMMENT_CLAUSES = _words("what whatever whoever whichever whom whose")

#: Pattern -> remedy, for all prose.
WORDS = {
    r"there\s+(?:is|are|was|were)\s+(?:no|none)": "",  # good English, as are the next two
    r"is\s+no\s+(?:longer|more|less|\w+er\s+than)": "",
    r"let's\s+say": "",
    r"(?:is|are|was|were)\s+no": "write 'is not a'",
    r"(?:is|are|was|were)\s+(?-i:none)": "name the noun: 'is not a ...'",
    r"(?:told|tells?|telling)\s+apart": "write 'distinguish'",
    r"tell|tells|told|telling": "a program returns, reports, raises or sends; it does not tell",
    r"(?<!\()say(?!,)|says|said|saying": "a program states, reports or names; it does not say",
    r"hear|hears|heard|hearing": "a program receives, or is notified; it does not hear",
    r"ask|asks|asked|asking": "a program requests, requires or calls; it does not ask",
    r"whoever|somebody|nobody|anybody": "name who: 'the caller', 'the learner', 'no other library'",
    r"beside": "write 'next to', 'relative to' or 'compared with'",
    r"furthest\s+off": "write 'the largest error'",
    r"what\s+(?:it|whoever|waits|waited|moves|came|comes|is\s+there|there\s+is)": "name the noun in place of 'what'",
    r"nothing\s+that": "write 'no' with the noun",
}
PROSE = re.compile("|".join(rf"(?P<w{i}>\b(?:{pattern})\b)" for i, pattern in enumerate(WORDS)), re.IGNORECASE)
REMEDIES = list(WORDS.values())

#: Pattern -> remedy, for the names of tests.
NAMES = {
    r"^test_(?:what|whatever|whoever|who|whether|which|that)_": "open with the noun: 'invalid_density_is_rejected'",
    r"(?<!there)_(?:is|are|was|were|be)_no_(?!longer|more|less)": "write 'is_not_a'",
    r"_(?:tells?|told|says?|said|hears?|heard|asks?|asked|asking)(?=_|$)": (
        "a program reports, raises, returns or calls; it does not tell, say, hear or ask"
    ),
    r"_(?:whoever|nobody|somebody|beside)(?=_|$)": "name the noun",
}

# Code within prose: it keeps its place, but its words do not count.
CODE = re.compile(
    r"""
    ``.+?`` | :[a-z:]+:`[^`]+` | `[^`]+` | "[^"\n]*" | https?://\S+ | \$[^$\n]+\$
    | ^[ \t]*>>>.*(?:\n[ \t]*\S.*)*  # a doctest and its output
    | \w*[a-z]_\w+ | \w+\([^()\n]*\) | \w+\.\w+(?:\.\w+)*
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


class Fault(NamedTuple):
    """A place in a file, line and column counted from 1, and the message about it."""

    line: int
    column: int
    message: str


def faults(source: str) -> list[Fault]:
    """Return the faults in the English of a Python file, in the order of its lines."""
    tree = ast.parse(source)
    lines = source.splitlines()
    found = [fault for node in ast.walk(tree) for fault in _faults_of_node(node, lines)]
    if "#" in source:
        found += [fault for block in _comments(source) for fault in _faults_of_comment(*block)]
    return sorted(set(found))


def _faults_of_node(node: ast.AST, lines: list[str]) -> Iterator[Fault]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
        column = lines[node.lineno - 1].index(node.name, node.col_offset) + 1
        for pattern, remedy in NAMES.items():
            if match := re.search(pattern, node.name):
                yield Fault(node.lineno, column, f"test name has '{match[0].strip('_')}': {remedy}")
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        if (text := ast.get_docstring(node, clean=False)) and text.strip():
            yield from _faults_of_docstring(node, text, lines)
    elif isinstance(node, ast.Raise | ast.Assert):
        yield from _faults_of_message(node.exc if isinstance(node, ast.Raise) else node.msg)
    elif isinstance(node, ast.Call):
        if ast.unparse(node.func) in ("print", "warn", "warnings.warn", "sys.exit"):
            yield from _faults_of_message(*node.args)
        yield from _faults_of_message(*(word.value for word in node.keywords if word.arg in ("help", "description")))


def _faults_of_docstring(node: ast.AST, text: str, lines: list[str]) -> Iterator[Fault]:
    string = node.body[0].value
    if message := opening_fault(text, kind_of(node)):
        yield Fault(string.lineno, string.col_offset + 1, message)
    raw = lines[string.lineno - 1 : string.end_lineno]
    raw[-1] = raw[-1].encode()[: string.end_col_offset].decode()
    raw[0] = " " * string.col_offset + raw[0][string.col_offset :].replace('"""', "   ", 1)
    yield from _faults_of_prose("\n".join(raw), string.lineno, 1)
    for number, line in enumerate(raw):
        if match := re.match(r"\s+\w+(?:, \w+)*: (of) ", line):
            yield Fault(string.lineno + number, match.start(1) + 1, "an entry opens with a noun, not with 'of'")


def _faults_of_message(*nodes: ast.AST | None) -> Iterator[Fault]:
    for root in nodes:
        if root is None:
            continue
        parts = {id(part) for node in ast.walk(root) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(root):
            if isinstance(node, ast.JoinedStr):
                text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
                text = node.value
            else:
                continue
            for fault in _faults_of_prose(text, 1, 1):
                yield Fault(node.lineno, node.col_offset + 1, fault.message)


def _faults_of_comment(line: int, column: int, text: str) -> Iterator[Fault]:
    if first_word(text) in COMMENT_CLAUSES and "?" not in text:
        yield Fault(line, column, f"comment opens with '{first_word(text)}': open with the noun, or with the reason")
    yield from _faults_of_prose(text, line, column)


def _faults_of_prose(text: str, line: int, column: int) -> Iterator[Fault]:
    """Yield the words in ``text``, which starts in ``line``, that do not belong in prose about programs."""
    text = CODE.sub(lambda match: re.sub(r"\S", "_", match[0]), text)
    for match in PROSE.finditer(text):
        before = text[: match.start()]
        start = match.start() - before.rfind("\n") - 1
        if remedy := REMEDIES[int(match.lastgroup[1:])]:
            yield Fault(line + before.count("\n"), column + start, f"'{' '.join(match[0].split())}': {remedy}")


def _comments(source: str) -> list[tuple[int, int, str]]:
    """Return line, column and text of each comment; comments below each other in one column are one."""
    tokens = tokenize.generate_tokens(iter(source.splitlines(keepends=True)).__next__)
    found: list[tuple[int, int, str]] = []
    end = own = 0
    for before, token in pairwise([None, *tokens]):
        if token.type != tokenize.COMMENT or re.match(r"#!|#\s*(noqa|type:|fmt:|pragma)", token.string):
            continue
        line, column = token.start[0], token.start[1] + 1
        alone = before is None or before.type in (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        if found and alone and own and end == line - 1 and found[-1][1] == column:
            found[-1] = (*found[-1][:2], found[-1][2] + "\n" + " " * (column - 1) + _text_of(token.string))
        else:
            found.append((line, column, _text_of(token.string)))
        end, own = line, alone
    return found


def _text_of(comment: str) -> str:
    return re.sub(r"^#+:?", lambda match: " " * len(match[0]), comment)


def kind_of(node: ast.AST) -> str:
    """Return how the docstring of ``node`` must open: 'thing', 'noun', 'verb', or 'any' for all but a clause."""
    if isinstance(node, ast.Module):
        return "thing"
    if isinstance(node, ast.ClassDef):
        return "noun"
    names = {ast.unparse(item.func if isinstance(item, ast.Call) else item) for item in node.decorator_list}
    short = {name.rpartition(".")[2] for name in names}
    if short & {"property", "cached_property", "setter"}:
        return "noun"
    if short & {"fixture", "contextmanager", "asynccontextmanager"} or node.name.startswith("test"):
        return "any"
    return "verb"


def opening_fault(docstring: str, kind: str) -> str | None:
    """Return a message about the first words of a docstring, or None where they will do."""
    first = first_word(docstring)
    if re.match(r"\s*[A-Z]\w+:\n", docstring):  # "Args:", in a method whose class explains it
        return None
    if kind == "verb" and (not is_verb(first) or re.match(r"\s*\w+\s+of\b", docstring)):
        return f"function's docstring opens with '{first or docstring.split()[0]}': open with a verb, such as 'Return'"
    if first in CLAUSES or (kind in ("thing", "noun") and first in NOT_NOUNS):
        return f"docstring opens with '{first}': open with a noun phrase"
    if kind == "noun" and first in ACTIONS:
        return f"docstring of a class or property opens with the verb '{first}': open with a noun phrase"
    return None


def first_word(text: str) -> str:
    """Return the first word of ``text`` in lower case, adverbs skipped; empty where code or a number comes first."""
    for word in text.split():
        plain = re.fullmatch(r"\(?([A-Za-z]+(?:-[a-z]+)*)[,.:;)]*", word)
        if plain is None:
            return ""
        first = plain[1].lower()
        if not first.endswith("ly") or first in VERBS:
            return first
    return ""


def is_verb(word: str) -> bool:
    """Return True for one of :data:`VERBS`, also in the third person: 'compute', 'computes', 'passes', 'copies'."""
    stems = {
        word,
        word.removesuffix("s"),
        word.removesuffix("es"),
        re.sub("ies$", "y", word),
        re.sub("^re-?", "", word),
    }
    return bool(stems & VERBS)


def files_of(names: list[str]) -> list[Path]:
    """Return the Python files of files, folders and patterns below the repository's root, each once."""
    found: dict[Path, None] = {}
    for name in names:
        matches = sorted(ROOT.glob(name)) if "*" in name else [ROOT / name]
        if not all(path.exists() for path in matches) or not matches:
            raise FileNotFoundError(f"rooms must exist, but {name!r} does not; try a path from the repository's root")
        for path in matches:
            found |= dict.fromkeys(sorted(path.rglob("*.py")) if path.is_dir() else [path])
    return list(found)


def main(arguments: list[str] | None = None) -> int:
    """Print the faults of the named files, by default of all rooms; return the exit status."""
    count = 0
    files = files_of((sys.argv[1:] if arguments is None else arguments) or ROOMS)
    for path in files:
        for fault in faults(path.read_text(encoding="utf-8")):
            shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            print(f"{shown}:{fault.line}:{fault.column}: {fault.message}")
            count += 1
    print(f"{count} faults in the English of {len(files)} files" if count else f"{len(files)} files read well")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
