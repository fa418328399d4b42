"""The requests alone: asyncio, one pooled session, a semaphore."""

import asyncio
from typing import Any

from measure import marked, read_job, report  # isort: skip - its clock starts with the first import

import aiohttp


async def rows(job: dict[str, Any], n: int) -> int:
    """`n` rows at once; each level of a row waits for the one before."""
    gate = asyncio.Semaphore(job["in_flight"])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call(messages: list[dict[str, Any]]) -> str:
            body = {"model": job["model"], "messages": messages, "temperature": 0.7}
            async with gate, session.post(f"{job['url']}/chat/completions", json=body) as reply:
                found = await reply.json()
            return str(found["choices"][0]["message"]["content"])

        async def row(i: int) -> bool:
            for level in job["levels"]:
                texts = await asyncio.gather(*(call(marked(messages, i)) for messages in level))
            return all(texts)

        return sum(await asyncio.gather(*(row(i) for i in range(n))))


if __name__ == "__main__":
    job = read_job()
    with asyncio.Runner() as runner:
        report(job, lambda n: runner.run(rows(job, n)), job["rows"])
