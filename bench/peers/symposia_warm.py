"""Our batch in a process that has done one already: what the work costs, start-up apart."""

import contextlib
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import read_job, report  # isort: skip - its clock starts with the first import

sys.path.insert(1, str(Path(__file__).parent.parent))

from batch_forms import answered_in, arguments

from symposia import cli


def rows(job: dict[str, Any], n: int) -> int:
    """`n` rows as one batch into a folder of its own."""
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        try:
            with contextlib.redirect_stdout(said):
                cli.main(arguments(job, folder, "local", job["questions"][:n]))
        except SystemExit as end:
            if end.code:
                raise SystemExit(f"symposia batch ended with {end.code}: {said.getvalue()}") from None
        return answered_in(folder)


if __name__ == "__main__":
    job = read_job()
    report(job, lambda n: rows(job, n), job["rows"])
