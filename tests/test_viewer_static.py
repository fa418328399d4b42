"""The viewer's files: what is vendored is what is named, nothing in them can act on a text, and a page stays small."""

import base64
import fnmatch
import gzip
import hashlib
import json
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from symposia.viewer import join, vendor
from symposia.viewer.join import STATIC, JoinError, joined, page

ROOT = Path(__file__).resolve().parent.parent
OWN = sorted(path for path in STATIC.rglob("*.js") if path.parent != vendor.FOLDER)
FILES = sorted(path for path in STATIC.rglob("*") if path.is_file())
FIRST, ALL = 60_000, 110_000  # bytes, gzipped
SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|document\.write|\beval\b|new Function|srcdoc|\son\w+=\""
    r"|set(?:Timeout|Interval)\(\s*[\"'`]|javascript:"
)


def packed(*texts: str) -> int:
    return sum(len(gzip.compress(text.encode(), 9)) for text in texts)


def modules(folder: Path, monkeypatch: pytest.MonkeyPatch, **sources: str) -> str:
    """What modules of one's own are joined into."""
    for name, source in sources.items():
        (folder / f"{name}.js").write_text(source, encoding="utf-8")
    monkeypatch.setattr(join, "STATIC", folder)
    return joined.__wrapped__()


def test_vendored_files_are_those_that_were_made() -> None:
    said = vendor.record()
    assert said["sha256"] == vendor.sums()
    assert set(said["made"]) | {"entry.js"} == set(said["sha256"])
    licences = (vendor.FOLDER / "licences.html").read_text(encoding="utf-8")
    for each in said["libraries"]:
        assert f"{each['name']} {each['version']} ({each['licence']})" in licences
    assert "://" not in vendor.RECORD.read_text(encoding="utf-8")
    assert vendor.packages()[-1].startswith("esbuild@")


def test_a_wheel_holds_every_file() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]["*"]
    assert len(FILES) > 20
    assert [path.name for path in FILES if not any(fnmatch.fnmatch(path.name, pattern.removeprefix("**/")) for pattern in patterns)] == []


@pytest.mark.parametrize("path", [*OWN, STATIC / "index.html"], ids=lambda path: path.name)
def test_no_text_can_become_markup_or_code(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not SINKS.search(source)
    assert "://" not in source and "@import" not in source


@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.relative_to(STATIC)))
def test_a_module_is_short_and_says_what_it_is_for(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 200
    assert lines[0].startswith("// ")
    undocumented = [
        line
        for before, line in pairwise(lines)
        if re.match(r"export (async )?function \w+\([^)]", line) and not before.rstrip().endswith("*/")
    ]
    assert undocumented == []


def test_the_page_is_small() -> None:
    html, style = (STATIC / "index.html").read_text(encoding="utf-8"), (STATIC / "app.css").read_text(encoding="utf-8")
    layout = (STATIC / join.LAYOUT).read_text(encoding="utf-8")
    assert packed(html, style, joined()) < FIRST
    assert packed(html, style, joined(), join.joined_later(), layout) < ALL


def test_joined_modules_come_after_what_they_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = modules(
        tmp_path,
        monkeypatch,
        app='// Above.\nimport { one as first, two } from "./part.js";\nexport const three = first + two();\n',
        part="export const one = 1;\nexport async function two() {}\nfunction own() {}\nexport{own as hidden};\n",
    )
    assert given.index('modules["part.js"]') < given.index('modules["app.js"]')
    assert 'const { one: first, two } = modules["part.js"];' in given
    assert "return { one, two, hidden: own };" in given and "return { three };" in given
    assert "Above" not in given and "export" not in given


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("export default 1;\n", "cannot be joined"),
        ('import * as all from "./part.js";\n', "cannot be joined"),
        ('import { a } from "./gone.js";\n', "no module gone.js"),
        ('import { a } from "./app.js";\n', "import each other"),
    ],
)
def test_what_cannot_be_joined_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str) -> None:
    with pytest.raises(JoinError, match=said):
        modules(tmp_path, monkeypatch, app=source)


def test_an_exported_page_allows_only_its_own_script_and_holds_its_data_packed() -> None:
    data = {"/runs/r": {"answer": "</script><script>alert(1)</script>", "score": float("inf")}, "/export": {"start": "#/runs/r"}}
    text = page(data, title="<b>r</b>")
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert len(script) == len(style) == 1
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy and "default-src 'none'" in policy[1] and "connect-src" not in policy[1]
    for name, body in (("script-src", script[0]), ("style-src", style[0])):
        assert f"{name} 'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'" in policy[1]
    assert "alert(1)" not in text and "<title>&lt;b&gt;r&lt;/b&gt;</title>" in text
    held = re.search(r'id="data">([^<]*)<', text)
    assert held and json.loads(gzip.decompress(base64.b64decode(held[1]))) == {**data, "/runs/r": {**data["/runs/r"], "score": "inf"}}
    assert "symposiaLayout" in script[0]
