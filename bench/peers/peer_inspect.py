"""inspect_ai: a task of one generation, k epochs, reduced by the mode of the boxed answers."""

import os
import re
import tempfile
from typing import Any

from measure import read_job, report  # isort: skip - its clock starts with the first import

from inspect_ai import Epochs, Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer
from inspect_ai.solver import TaskState, generate


@scorer(metrics=[accuracy()])
def boxed() -> Scorer:
    """The answer itself as the score, so that the mode is the vote."""

    async def score(state: TaskState, target: Target) -> Score:
        found = re.search(r"\\boxed\{([^}]+)\}", state.output.completion)
        return Score(value=found[1] if found else "")

    return score


def rows(job: dict[str, Any], n: int) -> int:
    """`n` rows as one evaluation."""
    samples = [Sample(input=prompt, target="18") for prompt in job["prompts"][:n]]
    model = get_model(f"openai-api/bench/{job['model']}", base_url=job["url"], api_key="none", memoize=False)
    task = Task(dataset=samples, solver=generate(), scorer=boxed(), epochs=Epochs(job["k"], "mode"))
    limits = {"max_connections": job["in_flight"], "max_samples": job["in_flight"]}
    with tempfile.TemporaryDirectory() as folder:
        log = eval(task, model=model, display="none", log_dir=folder, temperature=0.7, ctl_server=False, log_realtime=False, **limits)[0]
        votes = log.reductions[0].samples if log.reductions else []
    return sum(bool(vote.value) for vote in votes)


if __name__ == "__main__":
    os.environ["INSPECT_LOG_LEVEL"] = "error"
    job = read_job()
    report(job, lambda n: rows(job, n), job["rows"])
