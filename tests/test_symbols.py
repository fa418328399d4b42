"""Symbols of repositories: what is found, under which path, how it is shown, what is left out, and the fingerprint of what was read."""

import os
import sys
import tempfile
from pathlib import Path
from textwrap import dedent

import pytest

from symposia.state.errors import BadInput, UnknownName
from symposia.tools import overlap, symbols_treesitter
from symposia.tools.symbols import fingerprint, first_sentence, mine, mine_texts

OUTER = '''
    import functools

    @functools.cache
    def plain(a: int, /, b="x", *, c: list[int] | None = None) -> str:
        """Join the parts, e.g. two. A second sentence.

        More.
        """
        def inner(z):
            return z
        return inner(a)

    async def fetch(address):
        pass

    class Outer(dict, metaclass=type):
        """A holder
        of things."""

        class Inner:
            def method(self): ...

        @property
        def size(self) -> int:
            """How many."""
            return 1

        @size.setter
        def size(self, value): ...

        async def load(self):
            def helper(): ...

    if True:
        def behind_if(): "Said in one word."
    try:
        pass
    except ImportError:
        class Fallback: ...
'''


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository with what a crawl must and must not take."""
    files: dict[str, str | bytes] = {
        "pack/__init__.py": "def top(): ...",
        "pack/mod.py": dedent(OUTER),
        "pack/other.py": "def plain(): 'Another of that name.'",
        "pack/broken.py": "x = 1\ndef f(:\n",
        "pack/coded.py": "# -*- coding: no-such-code -*-\n",
        "pack/bytes.py": b"x = '\xff\xfe'\n",
        "pack/primetest.py": "def isprime(n): ...",
        "tests/test_mod.py": "def test_plain(): ...",
        "pack/test/helper.py": "def assist(): ...",
        ".hidden/secret.py": "def secret(): ...",
        "env/pyvenv.cfg": "",
        "env/lib/installed.py": "def installed(): ...",
        "node_modules/x.py": "def module(): ...",
        "README.md": "def readme(): ...",
    }
    for name, text in files.items():
        path = tmp_path / "repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "outside.py").write_text("def outside(): ...")
    (tmp_path / "repo" / "link.py").symlink_to(tmp_path / "outside.py")
    return tmp_path / "repo"


def by_path(root: Path, **options: object) -> dict[str, dict[str, object]]:
    """The symbols by full path."""
    return {symbol["full_path"]: dict(symbol) for symbol in mine(root, **options).symbols}  # type: ignore[arg-type]


def test_everything_nested_async_and_behind_conditions_is_found_under_its_path(repository: Path) -> None:
    found = by_path(repository)
    assert {path: symbol["symbol_type"] for path, symbol in found.items()} == {
        "pack.top": "function",
        "pack.mod.plain": "function",
        "pack.mod.plain.inner": "function",
        "pack.mod.fetch": "function",
        "pack.mod.Outer": "class",
        "pack.mod.Outer.Inner": "class",
        "pack.mod.Outer.Inner.method": "method",
        "pack.mod.Outer.size": "method",
        "pack.mod.Outer.load": "method",
        "pack.mod.Outer.load.helper": "function",
        "pack.mod.behind_if": "function",
        "pack.mod.Fallback": "class",
        "pack.other.plain": "function",
        "pack.primetest.isprime": "function",
    }
    assert found["pack.mod.Outer.size"]["docstring"] == "How many."  # the getter, not the setter
    assert found["pack.mod.plain"] | {"code": "", "docstring": ""} == {
        "name": "plain",
        "full_path": "pack.mod.plain",
        "symbol_type": "function",
        "code": "",
        "docstring": "",
        "signature": "def plain(a: int, /, b='x', *, c: list[int] | None=None) -> str: Join the parts, e.g. two.",
        "filename": "mod.py",
        "filepath": "pack/mod.py",
        "lineno": 5,
    }


def test_code_is_whole_and_without_its_indentation(repository: Path) -> None:
    found = by_path(repository)
    assert found["pack.mod.Outer.Inner.method"]["code"] == "def method(self): ..."
    assert str(found["pack.mod.plain"]["code"]).startswith("@functools.cache\ndef plain(")
    assert str(found["pack.mod.plain"]["code"]).endswith("return inner(a)")


def test_a_class_is_shown_by_its_bases_and_the_heads_of_its_methods(repository: Path) -> None:
    assert by_path(repository)["pack.mod.Outer"]["signature"] == "\n".join(
        [
            "class Outer(dict, metaclass=type): A holder of things.",
            "    def size(self) -> int: ...",
            "    def size(self, value): ...",
            "    async def load(self): ...",
        ]
    )


def test_what_does_not_parse_is_left_out_with_the_reason(repository: Path) -> None:
    reasons = {each["filepath"]: each["reason"] for each in mine(repository).skipped}
    assert reasons.keys() == {"pack/broken.py", "pack/coded.py", "pack/bytes.py"}
    assert reasons["pack/broken.py"].startswith("line 2: ")
    assert "no-such-code" in reasons["pack/coded.py"]


def test_files_and_folders_that_may_not_be_read_are_left_out_with_the_reason() -> None:
    with tempfile.TemporaryDirectory() as root:
        for name in ("open.py", "closed.py", "shut/a.py", "listed/b.py", "other/c.py"):
            path = Path(root, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text("def here(): ...")
        for name, mode in (("", 0o755), ("closed.py", 0), ("shut", 0), ("listed", 0o444)):
            Path(root, name).chmod(mode)
        user = os.geteuid()
        try:
            os.seteuid(user or 65534)
            found = mine(root)
            assert found.fingerprint == fingerprint(root)
        finally:
            os.seteuid(user)
            for name in ("shut", "listed"):
                Path(root, name).chmod(0o755)
    assert [symbol["full_path"] for symbol in found.symbols] == ["open.here", "other.c.here"]
    assert {each["filepath"] for each in found.skipped} == {"closed.py", "shut", "listed/b.py"}
    assert {each["reason"] for each in found.skipped} == {"cannot be read: Permission denied"}


def test_what_has_no_name_in_utf_8_is_left_out(tmp_path: Path) -> None:
    for folder, name in ((b"\xff", b"a.py"), (b"fine", b"\xff.py"), (b"fine", b"b.py")):
        os.makedirs(os.fsencode(tmp_path) + b"/" + folder, exist_ok=True)
        with open(b"/".join((os.fsencode(tmp_path), folder, name)), "w") as file:
            file.write("def here(): ...")
    assert [symbol["filepath"] for symbol in mine(tmp_path).symbols] == ["fine/b.py"]


def test_deep_nesting_and_large_files_are_left_out_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "deep.py").write_text("x = " + "(" * 5000 + ")" * 5000)
    (tmp_path / "chain.py").write_text("if a: pass\n" + "elif a: pass\n" * (3 * sys.getrecursionlimit()))
    (tmp_path / "large.py").write_text("#" * 2_000_001)
    (tmp_path / "fine.py").write_text("def fine(): ...")
    mined = mine(tmp_path)
    assert [symbol["full_path"] for symbol in mined.symbols] == ["fine.fine"]
    assert {each["filepath"] for each in mined.skipped} == {"deep.py", "chain.py", "large.py"}


@pytest.mark.parametrize(
    ("words", "left"),
    [(["test"], set()), ([], {"tests.test_mod.test_plain", "pack.test.helper.assist"}), (["mod", "pack"], set())],
)
def test_words_in_the_path_keep_files_out(repository: Path, words: list[str], left: set[str]) -> None:
    found = {path for path in by_path(repository, leave_out=words) if "test" in path.split(".")[0] or ".test." in path}
    assert found == left
    assert ("pack.primetest.isprime" in by_path(repository, leave_out=words)) is ("pack" not in words)


def test_core_files_are_all_that_is_mined(repository: Path) -> None:
    assert by_path(repository, core_files=["pack/oth*.py", "pack/primetest.py"]).keys() == {"pack.other.plain", "pack.primetest.isprime"}
    with pytest.raises(BadInput, match=r"no source file is 'pack/nothing\.py'"):
        mine(repository, core_files=["pack/other.py", "pack/nothing.py"])


def test_texts_at_hand_are_mined_as_files_are(repository: Path) -> None:
    texts = {p.relative_to(repository).as_posix(): p.read_bytes() for p in (repository / "pack").rglob("*.py")}
    assert mine_texts(texts) == mine(repository)
    assert [s["full_path"] for s in mine_texts({"b/c.py": "def f(): 'é'", "a.txt": "def g(): ..."}, "whole").symbols] == ["whole.b.c.f"]


def test_a_package_as_the_root_names_every_path(repository: Path) -> None:
    assert "pack.other.plain" in by_path(repository / "pack")
    assert "pack.top" in by_path(repository / "pack")


def test_the_fingerprint_follows_contents_names_and_rules_only(repository: Path) -> None:
    before = fingerprint(repository)
    assert before == mine(repository).fingerprint
    (repository / "README.md").write_text("changed")
    (repository / "tests" / "test_mod.py").write_text("changed = 1")
    assert fingerprint(repository) == before
    assert len({before, fingerprint(repository, core_files=["pack/*"]), fingerprint(repository, leave_out=[])}) == 3
    (repository / "pack" / "other.py").rename(repository / "pack" / "another.py")
    renamed = fingerprint(repository)
    (repository / "pack" / "another.py").write_text("def plain(): 'Another of that name!'")
    assert len({before, renamed, fingerprint(repository)}) == 3


def test_wrong_folders_and_languages_are_named(repository: Path) -> None:
    with pytest.raises(BadInput, match="is no folder"):
        mine(repository / "none")
    with pytest.raises(UnknownName, match="did you mean 'python'"):
        mine(repository, languages=["pyhton"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("One.", "One."),
        ("One\nline! Two.", "One line!"),
        ("No stop\n\nNext. One.", "No stop"),
        ("Of v1.2 it is.", "Of v1.2 it is."),
    ],
)
def test_first_sentences(text: str, said: str) -> None:
    assert first_sentence(text) == said


# Other languages


SOURCES = {
    "a.js": """
        // Adds two numbers. It is simple.
        export function add(a, b = 2) { return a + b; }

        /**
         * A stack.
         */
        class Stack extends Base {
          /* Put one on top. */
          push(x) { const inner = () => 1; return this.items.push(x); }
        }
        export const area = (r) => { return Math.PI * r * r; };
    """,
    "b.ts": "/** A shape. */\nexport interface Shape { area(): number; name: string }\ntype T = number | string;",
    "C.java": """
        class C {
          /** Says hello. Loudly. */
          public String hello(String name) { return name; }
          static class D { void go() {} }
        }
    """,
    "d.go": """
        package d

        // Point is a point.
        type Point struct { X int }

        func (p *Point) Len(k int) float64 { return 1 }

        type Num int
    """,
    "broken.js": "const a = 1;\nfunction ( {",
}


def test_other_languages_are_read_by_tree_sitter(tmp_path: Path) -> None:
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(dedent(text))
    mined = mine(tmp_path, languages=["javascript", "typescript", "java", "go"])
    assert {s["full_path"]: (s["symbol_type"], s["signature"].split("\n")[0]) for s in mined.symbols} == {
        "C.C": ("class", "class C"),
        "C.C.hello": ("method", "public String hello(String name): Says hello."),
        "C.C.D": ("class", "static class D"),
        "C.C.D.go": ("method", "void go()"),
        "a.add": ("function", "function add(a, b = 2): Adds two numbers."),
        "a.Stack": ("class", "class Stack extends Base: A stack."),
        "a.Stack.push": ("method", "push(x): Put one on top."),
        "a.Stack.push.inner": ("function", "inner = ()"),
        "a.area": ("function", "area = (r)"),
        "b.Shape": ("class", "interface Shape: A shape."),
        "b.Shape.area": ("method", "area(): number"),
        "d.Point": ("class", "Point struct: Point is a point."),
        "d.Point.Len": ("method", "func (p *Point) Len(k int) float64"),
    }
    assert mined.symbols[3]["code"] == "void go() {}"
    assert next(s["code"] for s in mined.symbols if s["name"] == "area").startswith("export const area =")
    assert mined.skipped == [{"filepath": "broken.js", "reason": "line 2: syntax error"}]


def test_without_the_extra_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.js").write_text("f();")
    symbols_treesitter._parser.cache_clear()
    monkeypatch.setitem(sys.modules, "tree_sitter_javascript", None)
    with pytest.raises(BadInput, match=r"tree_sitter_javascript is not installed.*pip install 'symposia\[code\]'"):
        mine(tmp_path, languages=["javascript"])


# What generated code calls


@pytest.mark.parametrize(
    ("code", "language", "called"),
    [
        ("x()", "python", {"x"}),
        ("f.x()", "python", {"x"}),
        ("f(1).x[0].y(z())", "python", {"f", "y", "z"}),
        ("from m import x\n# x()\ny = x\n'x()'", "python", set()),
        ("x(", "python", set()),
        ("(lambda: 1)()", "python", set()),
        ("// x()\nimport {x} from 'm'; a.b.y(); new q.Z(1)", "javascript", {"y", "Z"}),
        ("f<T>(x)", "typescript", {"f"}),
        ('class C { void m() { new Foo().bar("x()"); baz(1); } }', "java", {"Foo", "bar", "baz"}),
        ("package a\nfunc f() { math.Sqrt(1); g() }", "go", {"Sqrt", "g"}),
    ],
)
def test_names_called(code: str, language: str, called: set[str]) -> None:
    assert overlap.called_names(code, language) == called


def test_overlap_counts_reference_names_that_are_called() -> None:
    apis = ["x", "y", "z", "w"]
    assert overlap.overlap("import z\nf.x(); x(); y(); other()", apis) == 0.5
    assert overlap.overlap("x()", []) == 0.0
    assert tuple(overlap.overlaps(["x()", "", "x(); y()"], apis)) == (0.5, 0.25)
    assert tuple(overlap.overlaps([], apis)) == (0.0, 0.0)


def test_plan_recall_and_precision_look_for_names_inside_full_paths() -> None:
    paths = ["lib.io.read_table", "lib.io.read_table", "lib.Frame.join", "lib.plot"]
    assert overlap.plan_recall(paths, ["read_table", "join", "melt", "Frame"]) == 0.75
    assert overlap.plan_precision(paths, ["read_table", "join", "melt", "Frame"]) == pytest.approx(2 / 3)
    assert overlap.plan_recall(paths, []) == overlap.plan_precision([], ["x"]) == 0.0
