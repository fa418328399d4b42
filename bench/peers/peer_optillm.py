"""optillm: its self-consistency as a library, a thread per row, as its server does it.

It takes its samples one after the other and at temperature 1, and joins whole replies that are alike, not their answers.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from measure import read_job, report  # isort: skip - its clock starts with the first import

from openai import OpenAI
from optillm.self_consistency import AdvancedSelfConsistency


def row(job: dict[str, Any], client: OpenAI, prompt: str) -> bool:
    """One row."""
    found = AdvancedSelfConsistency(client, job["model"], num_samples=job["k"]).evaluate("", prompt)
    return bool(found["aggregated_result"]["clusters"])


def rows(job: dict[str, Any], n: int) -> int:
    """`n` rows, so many at once as requests may be in flight."""
    with OpenAI(base_url=job["url"], api_key="none", max_retries=0) as client, ThreadPoolExecutor(job["in_flight"]) as pool:
        return sum(pool.map(partial(row, job, client), job["prompts"][:n]))


if __name__ == "__main__":
    job = read_job()
    report(job, lambda n: rows(job, n), job["rows"])
