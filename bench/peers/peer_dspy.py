"""DSPy: `Predict` k times a row by its own `batch` on threads, then `majority`, cache off. Its asynchronous calls take longer.

Its adapter writes the task's form around the question, so the question is cut until the whole is as long as the other forms' prompts; the
server answers it in the form it asks for.
"""

from typing import Any

from measure import read_job, report  # isort: skip - its clock starts with the first import

import dspy


def fitted(prompt: str, predict: dspy.Predict) -> str:
    """The end of a prompt, as much as leaves room for what the adapter adds."""
    sent = dspy.ChatAdapter().format(predict.signature, demos=[], inputs={"question": ""})
    added = sum(len(message["content"]) for message in sent)
    if added >= len(prompt):
        raise SystemExit(f"the adapter alone writes {added} characters; ask for longer prompts")
    return prompt[added - len(prompt) :]


def rows(job: dict[str, Any], predict: dspy.Predict, n: int) -> int:
    """`n` rows, so many samples at once as requests may be in flight."""
    k = job["k"]
    asked = [dspy.Example(question=prompt).with_inputs("question") for prompt in job["prompts"][:n] for _ in range(k)]
    found = predict.batch(asked, num_threads=job["in_flight"], disable_progress_bar=True)
    votes = [dspy.majority(found[start : start + k], field="answer") for start in range(0, len(found), k)]
    return sum(bool(vote.answer) for vote in votes)


if __name__ == "__main__":
    job = read_job()
    dspy.configure(lm=dspy.LM(f"openai/{job['model']}", api_base=job["url"], api_key="none", temperature=0.7, cache=False, num_retries=0))
    predict = dspy.Predict("question -> answer")
    job["prompts"] = [fitted(prompt, predict) for prompt in job["prompts"]]
    report(job, lambda n: rows(job, predict, n), job["rows"])
