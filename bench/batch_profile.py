"""Where the CPU of a form goes, by package, after the stacks that a sampling profiler saw."""

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from batch_forms import BARE, script

TREE = Path(__file__).parents[1]
SHOWN = ("asyncio", "json", "sqlite3", "ssl", "logging")


def package_of(place: str) -> str:
    """The package of a frame, `file:function`. C code counts for who calls it, so SQLite's for our file that does."""
    file, _, function = place.rpartition(":")
    path = Path(file)
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1].removesuffix(".py")
    if path == TREE / "state" / "sqlite.py":
        return "sqlite3"
    if path.is_relative_to(TREE):
        return "bench" if path.is_relative_to(TREE / "bench") else "symposia"
    if function == "select":
        return "waiting, and other threads"
    return next((name for name in SHOWN if name in (path.parent.name, path.stem)), "standard library")


def by_package(form: str, job: dict[str, Any], calls: int) -> dict[str, Any]:
    """Run a form once and print, by package and by function, the CPU time in its own code, and by package that in all it calls."""
    with tempfile.TemporaryDirectory() as folder:
        stacks = Path(folder, "stacks")
        measured = script(sys.executable, BARE.get(form, "symposia_warm.py"), {**job, "profile": str(stacks)})
        lines = [line.rpartition(" ") for line in stacks.read_text(encoding="utf-8").splitlines()]
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for stack, _, seen in lines:
        count = int(seen)
        places = stack.split(";")
        packages = [package_of(place) for place in places]
        own[packages[-1]] += count
        within.update(dict.fromkeys(packages, count))
        file, _, function = places[-1].rpartition(":")
        functions[f"{packages[-1]}: {Path(file).name} {function}"] += count
    samples = own.total()
    each = measured.cpu_s * 1000 / calls / samples
    print(f"\n{form}: {measured.cpu_s * 1000 / calls:.2f} ms of CPU a call, {samples} samples")
    print(f"{'own ms':>8} {'share':>6} {'with callees':>12}  package, of a call")
    for name, count in own.most_common(18):
        print(f"{count * each:8.3f} {count / samples:6.1%} {within[name] * each:12.3f}  {name}")
    print(f"{'own ms':>8} {'share':>6}  function")
    for name, count in functions.most_common(30):
        print(f"{count * each:8.3f} {count / samples:6.1%}  {name}")
    both = {name: {"own": round(count * each, 4), "with_callees": round(within[name] * each, 4)} for name, count in own.most_common()}
    return {"cpu_ms": round(measured.cpu_s * 1000 / calls, 3), "samples": samples, "packages_ms": both}
