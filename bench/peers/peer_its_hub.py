"""its_hub: `SelfConsistency` over the boxed answer, all rows at once, its orchestrator limiting the requests."""

import asyncio
from typing import Any

from measure import read_job, report  # isort: skip - its clock starts with the first import

from its_hub.core.algorithms.self_consistency import SelfConsistency, create_regex_projection_function
from its_hub.core.lms.openai_lm import OpenAICompatibleLanguageModel
from its_hub.core.orchestrator import LMOrchestrator


async def rows(job: dict[str, Any], n: int) -> int:
    """`n` rows at once."""
    vote = SelfConsistency(create_regex_projection_function(r"\\boxed\{([^}]+)\}"), orchestrator=LMOrchestrator(job["in_flight"]))
    async with OpenAICompatibleLanguageModel(job["url"], "none", job["model"], temperature=0.7) as model:
        found = await asyncio.gather(*(vote.ainfer(model, prompt, job["k"]) for prompt in job["prompts"][:n]))
    return sum(bool(reply["content"]) for reply in found)


if __name__ == "__main__":
    job = read_job()
    with asyncio.Runner() as runner:
        report(job, lambda n: runner.run(rows(job, n)), job["rows"])
