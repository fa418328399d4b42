"""The README's pictures of the step viewer: pages of a served store in headless Chromium.

A run that was refined and is wrong again opens at its turning point; a persuasion tree in dark; the tests of a debugging with an edit that
was taken back; a fork with its bill; on a phone, a batch in which a model refused some of the problems. All on toy models with seed 0.
"""

import asyncio
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from browser_home import CHROMIUM, QUIET
from serving import served

from symposia import runs
from symposia.api import abatch
from symposia.state.store import Store, open_store
from symposia.tools import toy
from symposia.tools.providers import litellm

WIDE: Mapping[str, Any] = {"viewport": {"width": 1280, "height": 820}}
PHONE: Mapping[str, Any] = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1.5, "is_mobile": True, "has_touch": True}
HARD = {"k": 5, "max_rounds": 2, "calib_mean": 1.6, "confidence_threshold": 0.8}
ITEMS = str(files("symposia.items") / "arithmetic.jsonl")


class Refusing(litellm().CustomLLM):  # type: ignore[misc]
    """LiteLLM provider `refusing/...`: the toy, which takes no problem about shells or bags."""

    async def acompletion(self, *args: Any, **options: Any) -> Any:
        """Reply, or refuse as an endpoint does."""
        text, module = str(options["messages"][-1]["content"]), litellm()
        problem = text.rpartition("Problem:")[2]
        if "shells" in problem or "bags" in problem:
            raise module.BadRequestError("The prompt was refused by the content filter.", llm_provider="refusing", model="any")
        said = await toy.areply("default?error=0.4", options["messages"], (options.get("optional_params") or {}).get("seed"))
        reply = options["model_response"]
        reply.choices = [module.Choices(index=0, finish_reason="stop", message=module.Message(role="assistant", content=said))]
        words = [len(text.split()), len(said.split())]
        reply.usage = module.Usage(prompt_tokens=words[0], completion_tokens=words[1], total_tokens=sum(words))
        return reply


async def filled(store: Store, folder: Path) -> dict[str, str]:
    """The addresses of what is shown: a run that refinement has made wrong again, and a batch with failures."""
    given: dict[str, Any] = {"params": HARD, "seed": 0, "store": store}
    await abatch("magicore", ITEMS, folder / "hard.jsonl", model="toy/default?error=0.4", **given)
    lost = [run["run_id"] for run in await store.runs() if run["correct"] is False and await was_right(store, run)]
    if not lost:
        raise SystemExit("no problem was made wrong by a refinement")
    module = litellm()
    module.custom_provider_map.append({"provider": "refusing", "custom_handler": Refusing()})
    module.utils.custom_llm_setup()
    failing = await abatch("magicore", ITEMS, folder / "failing.jsonl", model="refusing/any", **given)
    return {"run": lost[-1], "batch": failing["batch_id"]}


async def was_right(store: Store, run: Mapping[str, Any]) -> bool:
    """Whether the right answer has led after a round."""
    _, execution = await runs.replay(store, run["run_id"], keep=True)
    return any(moment.values["answer"] == run["reference"] for moment in execution.moments if moment.ran == ["aggregate"])


def seen(folder: Path, store: Path, ids: Mapping[str, str]) -> None:
    """Write the pictures.

    Args:
        folder: Where they go.
        store: The folder of the store, which is named `store.db`.
        ids: The run at its turning point, the `tree`, the `tests`, and the batch.
    """
    from playwright.sync_api import sync_playwright

    with served(store) as server, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *(f"--{flag}" for flag in QUIET)])

        def page(address: str, wanted: str, **look: Any) -> Any:
            opened = browser.new_context(**look).new_page()
            opened.goto(f"{server.root}/{address}")
            opened.locator(wanted).first.wait_for()
            return opened

        def taken(opened: Any, name: str) -> None:
            opened.locator("progress").wait_for(state="detached", timeout=120_000)  # a batch's states are rebuilt
            opened.wait_for_load_state("networkidle")
            opened.wait_for_timeout(500)  # the graph is laid out
            opened.screenshot(path=str(folder / f"viewer_{name}.png"))
            opened.context.close()

        taken(page(f"#/runs/{ids['run']}", ".turning", **WIDE), "run")
        taken(page(f"#/runs/{ids['tree']}", ".twigs", **WIDE, color_scheme="dark"), "tree")
        taken(page(f"#/runs/{ids['tests']}", ".matrix", **WIDE), "tests")
        taken(page(f"#/batches/{ids['batch']}", ".facet button", **PHONE), "phone")
        forked = page(f"#/runs/{ids['run']}/6", ".why", **WIDE)
        forked.get_by_role("button", name="Fork", exact=True).click()
        forked.locator("dialog").get_by_label("reviewer").first.fill("toy/strong")
        forked.locator(".bill", has_text="--role").wait_for()
        taken(forked, "fork")
        browser.close()


def pages(folder: Path, runs_of: Any) -> None:
    """Fill a store and look at it; `runs_of` is given the store and adds the runs named `tree` and `tests`."""
    with tempfile.TemporaryDirectory() as place:

        async def fill() -> dict[str, str]:
            async with open_store(f"{place}/store.db") as store:
                return {**await filled(store, Path(place)), **await runs_of(store)}

        seen(folder, Path(place), asyncio.run(fill()))
