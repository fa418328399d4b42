"""`litellm.acompletion` of `hosted_vllm/` behind a semaphore: connections not limited, the name registered, the collector told to rest."""

import asyncio
import gc
import os
from typing import Any

from measure import marked, read_job, report  # isort: skip - its clock starts with the first import

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["AIOHTTP_CONNECTOR_LIMIT"] = os.environ["AIOHTTP_CONNECTOR_LIMIT_PER_HOST"] = "100000"

import litellm


def tune() -> None:
    """Keep the collector away from what the imports left."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)


async def rows(job: dict[str, Any], n: int) -> int:
    """`n` rows at once; each level of a row waits for the one before."""
    gate = asyncio.Semaphore(job["in_flight"])
    options = {"api_base": job["url"], "api_key": "none", "num_retries": 0, "temperature": 0.7}

    async def call(messages: list[dict[str, Any]]) -> str:
        async with gate:
            reply = await litellm.acompletion(f"hosted_vllm/{job['model']}", messages, **options)
        return str(reply.choices[0].message.content)

    async def row(i: int) -> bool:
        for level in job["levels"]:
            texts = await asyncio.gather(*(call(marked(messages, i)) for messages in level))
        return all(texts)

    return sum(await asyncio.gather(*(row(i) for i in range(n))))


if __name__ == "__main__":
    job = read_job()
    price = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "litellm_provider": "hosted_vllm", "mode": "chat"}
    litellm.register_model({f"hosted_vllm/{job['model']}": price})
    litellm.suppress_debug_info = True
    with asyncio.Runner() as runner:
        report(job, lambda n: runner.run(rows(job, n)), job["rows"], before=tune)
