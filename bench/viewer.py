"""What the viewer takes, part by part: each is a module of its own, and says in its first lines what is measured and against what budget.

python bench/viewer.py run|batch|live|heap|slowdown [options]
"""

import sys
from importlib import import_module
from pathlib import Path

BESIDE = Path(__file__).parent
PARTS = sorted(path.stem.removeprefix("viewer_") for path in BESIDE.glob("viewer_*.py"))


def main() -> None:
    """Measure the part that is named."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in PARTS:
        raise SystemExit(f"name a part: python bench/viewer.py {'|'.join(PARTS)}")
    sys.path += [str(BESIDE), str(BESIDE.parent / "tests")]
    import_module(f"viewer_{name}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
