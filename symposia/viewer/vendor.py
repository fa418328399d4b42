"""The viewer's libraries: what `make vendor` fetches and bundles, and the sums by which a test knows that nobody changed them.

`python -m symposia.viewer.vendor packages` names the packages with their versions; `... keep FOLDER` writes the licences of those that npm
put into a folder, and the sums of all files.
"""

import hashlib
import html
import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "static" / "vendor"
RECORD = FOLDER / "vendor.json"


def record() -> dict[str, Any]:
    """Names, versions, licences and sums, as `vendor.json` has them."""
    found: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def packages() -> list[str]:
    """What npm is asked for: `NAME@VERSION` of each library, and of the bundler."""
    said = record()
    return [f"{each['name']}@{each['version']}" for each in [*said["libraries"], said["bundler"]]]


def sums() -> dict[str, str]:
    """SHA-256 of every vendored file, in hexadecimal."""
    files = sorted(path for path in FOLDER.iterdir() if path.is_file() and path != RECORD)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def licences(modules: Path) -> str:
    """A page with the licence of each library, from the folder into which npm put them."""
    parts = []
    for each in record()["libraries"]:
        text = (modules / each["name"] / "LICENSE").read_text(encoding="utf-8")
        parts.append(f"<h2>{each['name']} {each['version']} ({each['licence']})</h2>\n<pre>{html.escape(text)}</pre>")
    head = '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Licences of the libraries in this page</title>'
    return "\n".join([head, "<h1>Libraries in this page</h1>", *parts, ""])


def main(asked: str, folder: str = "") -> None:
    """Print the packages, or keep licences and sums."""
    if asked == "keep":
        (FOLDER / "licences.html").write_text(licences(Path(folder)), encoding="utf-8")
        RECORD.write_text(json.dumps({**record(), "sha256": sums()}, indent=2) + "\n", encoding="utf-8")
    else:
        print("\n".join(packages()))


if __name__ == "__main__":
    main(*sys.argv[1:])
