"""The pool: models of this machine, one process each, which take turns where there is no room for all."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from commands import Command
from test_every_method import record_of, worst

from symposia import registry, runs
from symposia.batches.order import ByModel
from symposia.config import load_config
from symposia.params import make_params
from symposia.pools import calls_by_model, check, planned
from symposia.state.errors import BadInput, EngineFailed, MissingKey, UnknownName
from symposia.state.journal import Run, opened
from symposia.state.place import fan
from symposia.state.store import open_store
from symposia.tools.completion import complete
from symposia.tools.embed import embed
from symposia.tools.limits import limiter
from symposia.tools.pool import engine as engine_module
from symposia.tools.pool.plan import Hosted, PoolSettings, command_of, hosted
from symposia.tools.pool.residence import engines, pool
from symposia.tools.served_reward import outcome
from symposia.tools.settings import configure, settings

ENGINE = Path(__file__).parent / "engine.py"
HI = [{"role": "user", "content": "hi"}]
pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture(autouse=True)
def process_settings():
    before = settings()
    configure(api_base=None, api_key=None, attempts=3, max_wait=0.1)
    yield
    configure(**{name: getattr(before, name) for name in before.__dataclass_fields__})


def model(name, *arguments, **over):
    return Hosted(name, "weights", arguments=arguments, **over)


def served_by(*models, options="", **over):
    """Let these models be served by the tests' engine."""
    command = f"{sys.executable} {ENGINE} {{name}} --port {{port}} --gpu-memory-utilization {{fraction}} --books books {options}"
    configure(pool=PoolSettings({one.name: one for one in models}, command, **{"stop_seconds": 5.0, "start_seconds": 30.0} | over))


def books(*events):
    """What engines wrote down: `EVENT NAME` per line, of these events."""
    found = [line.split() for line in Path("books").read_text().splitlines()]
    return [f"{event} {name}" for event, name, _ in found if event in events]


def pids(event="start"):
    return [int(line.split()[2]) for line in Path("books").read_text().splitlines() if line.startswith(f"{event} ")]


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def said(*names):
    """What models answer who are asked all at once."""
    async with opened(Run("r")):
        replies = await fan([lambda name=name: complete("solver", f"local/{name}", HI) for name in names])
    return [reply[0]["text"] for reply in replies]


# -- plan -----------------------------------------------------------------------------------------------------------------------------


def test_the_command_is_vllms_with_memory_quantisation_and_sleep():
    pool = PoolSettings({}, memory=80.0, resident=3, sleep_memory=64.0)
    one = Hosted("q", "Qwen/Qwen2.5-7B-Instruct-AWQ", 16.0, "awq", ("--max-model-len", "16384"))
    assert command_of(one, pool, 9000) == [
        *("vllm", "serve", "Qwen/Qwen2.5-7B-Instruct-AWQ", "--served-model-name", "q", "--host", "127.0.0.1", "--port", "9000"),
        *(
            "--gpu-memory-utilization",
            "0.2",
            "--disable-uvicorn-access-log",
            "--quantization",
            "awq",
            "--enable-sleep-mode",
            "--max-model-len",
            "16384",
        ),
    ]
    assert "--enable-sleep-mode" not in command_of(one, PoolSettings(), 9000)


def test_no_shell_reads_a_name():
    words = command_of(Hosted("a b; rm -rf /", "$(touch x)"), PoolSettings(command="serve {weights} {name} {port}"), 1)
    assert words == ["serve", "$(touch x)", "a b; rm -rf /", "1"]


@pytest.mark.parametrize(
    ("command", "says"),
    [("serve {model}", "placeholders"), ("serve 'x", "cannot be read"), ("", "empty"), ("serve {weights}", "no port")]
    + [(f"serve {field} {{port}}", "placeholders") for field in ("{weights.x}", "{weights[x]}", "{}", '{"type": "LAST"}')],
)
def test_a_template_that_cannot_be_read_says_so(command, says):
    with pytest.raises(BadInput, match=says):
        command_of(Hosted("a", "a"), PoolSettings(command=command), 1)


def test_engines_share_the_accelerator_by_size():
    pool = PoolSettings(memory=80.0, resident=4)
    sizes = [Hosted(str(gib), "w", float(gib)) for gib in (40, 30, 2)]
    assert pool.fits(sizes)
    assert not pool.fits([*sizes, Hosted("more", "w", 1.0)]), "nine tenths of the memory are for engines"
    assert not PoolSettings(memory=80.0, resident=2).fits(sizes)
    assert PoolSettings(resident=2).fits([Hosted("a", "w"), Hosted("b", "w")])
    with pytest.raises(BadInput, match=r"takes 80 GiB, of an accelerator of 80 GiB"):
        PoolSettings({"a": Hosted("a", "w", 80.0)}, memory=80.0)


def test_weights_sleep_where_ram_holds_them():
    pool = PoolSettings(sleep_memory=32.0)
    assert pool.naps([Hosted("a", "w", 16.0), Hosted("b", "w", 16.0)])
    assert not pool.naps([Hosted("a", "w", 33.0)])
    assert not pool.naps([Hosted("a", "w")]), "nobody knows its size"
    assert not PoolSettings().naps([Hosted("a", "w", 1.0)])


def test_a_name_of_the_hub_or_a_folder_needs_no_setting():
    assert hosted("local/Qwen/Qwen2.5-7B-Instruct", PoolSettings()).weights == "Qwen/Qwen2.5-7B-Instruct"
    Path("tiny").mkdir()
    assert hosted("local/tiny", PoolSettings()).weights == "tiny"
    with pytest.raises(UnknownName, match=r"'qwen7b'; did you mean 'qwen-7b'"):
        hosted("local/qwen7b", PoolSettings({"qwen-7b": Hosted("qwen-7b", "w")}))


TOML = """
[pool]
resident = 2
memory = 80
command = "serve {weights}"
[pool.models."qwen-7b"]
weights = "Qwen/Qwen2.5-7B-Instruct"
memory = 16
arguments = ["--max-model-len", "16384"]
"""


def test_settings_come_from_the_file():
    Path("symposia.toml").write_text(TOML)
    pool = load_config().process["pool"]
    assert pool.models == {"qwen-7b": Hosted("qwen-7b", "Qwen/Qwen2.5-7B-Instruct", 16.0, None, ("--max-model-len", "16384"))}
    assert (pool.resident, pool.memory, pool.command) == (2, 80.0, "serve {weights}")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("resident = 2", "residents = 2", "'residents'; did you mean 'resident'"),
        ("resident = 2", "resident = 0", "must be above 0"),
        ("resident = 2", 'resident = "two"', "pool.resident"),
        ("memory = 16", "memory = 90", "takes 90 GiB"),
        ('weights = "Qwen/Qwen2.5-7B-Instruct"', "", "weights"),
        ('[pool.models."qwen-7b"]', "[pool.models]", "is no table"),
    ],
)
def test_a_wrong_setting_is_named(old, new, says):
    Path("symposia.toml").write_text(TOML.replace(old, new))
    with pytest.raises(BadInput, match=says.replace("(", r"\(")):
        load_config()


# -- engines --------------------------------------------------------------------------------------------------------------------------


async def test_an_engine_starts_on_the_first_call_and_serves_the_others():
    served_by(model("a"))
    assert await said(*["a"] * 20) == ["I am a. The answer is \\boxed{4}."] * 20
    assert books("start", "call") == ["start a"] + ["call a"] * 20
    assert engines() == {"local/a": {"loads": 1, "pids": pids(), "failures": 0}}


def test_engines_end_with_the_event_loop_and_what_they_started_too():
    served_by(model("a", "--child"), model("b", "--stubborn"), resident=2, stop_seconds=0.3)
    asyncio.run(said("a", "b"))
    assert len(pids()) == 2
    assert all(gone(pid) for pid in [*pids(), *pids("child")])


async def test_one_at_a_time_they_take_turns_in_the_order_of_asking():
    served_by(model("a"), model("b"), model("c"))
    assert [text.split(".")[0] for text in await said("a", "b", "a", "c", "b")] == ["I am a", "I am b", "I am a", "I am c", "I am b"]
    assert books("start", "end") == ["start a", "end a", "start b", "end b", "start c"]
    assert await said("a") == ["I am a. The answer is \\boxed{4}."]
    assert engines()["local/a"]["loads"] == 2


async def test_those_that_fit_in_together_stay():
    served_by(model("a", memory=30.0), model("b", memory=30.0), model("c", memory=60.0), memory=80.0, resident=3)
    await said("a", "b", "a", "b")
    assert books("start", "end") == ["start a", "start b"]
    await said("a")
    await said("b")
    await said("a")
    assert books("start", "end") == ["start a", "start b"]
    await said("c")
    assert books("start", "end") == ["start a", "start b", "end b", "end a", "start c"], "the one unused for longest goes first"


async def test_an_engine_in_use_is_not_ended():
    served_by(model("a"), model("b"))
    async with opened(Run("r")):
        found = await fan([lambda i=i: complete("solver", f"local/{'ab'[i % 2]}", HI) for i in range(60)])
    assert [one[0]["text"][5] for one in found] == ["ab"[i % 2] for i in range(60)]
    assert Counter(books("call")) == {"call a": 30, "call b": 30}, "no call was made twice"
    assert books("crash") == []


async def test_an_embedding_model_is_one_of_the_pools_like_any_other():
    served_by(model("a"), model("e"))
    await said("a")
    async with opened(Run("r")):
        assert await embed(["one", "two"], "local/e") == [[1.0, 0.0]] * 2
    assert books("start", "end", "embed") == ["start a", "end a", "start e", "embed e"]


async def test_a_reward_model_is_one_of_the_pools_like_any_other():
    served_by(model("a"), model("r"))
    await said("a")
    async with opened(Run("r")):
        assert await outcome("reward/local/r", "2 + 2?", "4") == 0.5
    assert books("start", "end", "pooling") == ["start a", "end a", "start r", "pooling r"]
    assert [one["roles"] for one in planned({"solver": "local/r", "outcome": "reward/local/r?api=classify"})] == [["solver", "outcome"]]
    with pytest.raises(UnknownName, match=r"'rr'; did you mean 'r'"):
        check("reward/local/rr?api=classify")


async def test_a_reward_model_that_does_not_start_is_no_missing_score():
    served_by(model("r", "--fail", "no memory"))
    with pytest.raises(EngineFailed, match="no memory"):
        async with opened(Run("r")):
            await outcome("reward/local/r", "2 + 2?", "4")


async def test_sleep_keeps_the_process_and_wake_brings_it_back():
    served_by(model("a", memory=10.0), model("b", memory=10.0), model("c", memory=10.0), memory=80.0, sleep_memory=20.0)
    for name in ("a", "b", "a", "b", "c", "a"):
        await said(name)
    found = books("start", "sleep", "wake", "end")
    assert found[:7] == ["start a", "sleep a", "start b", "sleep b", "wake a", "sleep a", "wake b"]
    assert found[7:] == ["sleep b", "start c", "end c", "wake a"], "RAM holds two: the third ends"
    assert {name: one["loads"] for name, one in engines().items()} == {"local/a": 1, "local/b": 1, "local/c": 1}


async def test_an_engine_that_cannot_sleep_ends_instead():
    plain = f"{sys.executable} {ENGINE} {{name}} --port {{port}} --books books"
    served_by(model("a", memory=1.0), model("b", memory=1.0), sleep_memory=20.0)
    configure(pool=PoolSettings(settings().pool.models, f"env -u VLLM_SERVER_DEV_MODE {plain}", sleep_memory=20.0))
    await said("a")
    await said("b")
    assert books("start", "sleep", "end") == ["start a", "end a", "start b"]


async def test_an_engine_that_dies_is_started_again():
    served_by(model("a", "--crash-after", "3"))
    async with opened(Run("r")):
        for _ in range(5):
            await complete("solver", "local/a", HI)
    assert books("start", "crash") == ["start a", "crash a", "start a"]
    assert len(books("call")) == 5


@pytest.mark.parametrize(
    ("arguments", "over", "says"),
    [
        (("--fail", "out of memory"), {}, r"exit code 1 before it was ready; it says: .*out of memory"),
        (("--load", "30"), {"start_seconds": 3.0}, "was not ready after 3 s"),
    ],
)
async def test_an_engine_that_does_not_start_fails_the_call_with_its_last_words(arguments, over, says):
    served_by(model("a", *arguments), model("b"), **over)
    with pytest.raises(EngineFailed, match=says) as failed:
        await said("a")
    assert ".symposia/engines/a.log" in failed.value.remedy
    with pytest.raises(EngineFailed, match=says):
        await said("a")
    assert len(pids()) == 1, "it is not tried again, by the same call or the next"
    assert gone(pids()[0])
    assert await said("b") == ["I am b. The answer is \\boxed{4}."]


def test_a_batch_tells_of_an_engine_that_failed_though_its_rows_did_not(symposia: Command) -> None:
    done = batch(symposia, config=CONFIG + 'arguments = ["--fail", "no memory"]\n')
    assert done.code == 0, done.err
    assert "local/b started 1x, 1x in vain" in done.out
    assert "no memory" in done.err


async def test_a_program_that_is_not_there_names_the_extra():
    configure(pool=PoolSettings({"a": Hosted("a", "w")}, "no-such-engine {weights} {port}"))
    with pytest.raises(EngineFailed, match=r"no program 'no-such-engine'.*symposia\[vllm\]"):
        await said("a")


async def test_a_port_that_others_take_before_the_engine_listens_is_left_to_them(monkeypatch):
    served_by(model("a"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        ports, free = [other.getsockname()[1]], engine_module._free_port
        monkeypatch.setattr(engine_module, "_free_port", lambda: ports.pop() if ports else free())
        assert await said("a") == ["I am a. The answer is \\boxed{4}."]
    assert len(pids()) == 2
    assert gone(pids()[0])


async def test_logs_that_cannot_be_written_are_named():
    Path("file").write_text("")
    served_by(model("a"), logs="file/engines")
    with pytest.raises(EngineFailed, match="engine of a cannot be started: ") as failed:
        await said("a")
    assert failed.value.remedy.startswith("see to file/engines")


async def test_whoever_waits_and_is_cancelled_leaves_no_trace():
    served_by(model("a", "--load", "0.3"), model("b"))
    waiting = asyncio.create_task(said("a"))
    await asyncio.sleep(0.1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await said("b") == ["I am b. The answer is \\boxed{4}."]


async def test_no_engine_is_started_for_nobody():
    served_by(model("a", "--load", "0.3"), model("b"), model("c"))
    first, left = asyncio.create_task(said("a")), asyncio.create_task(said("b"))
    await asyncio.sleep(0)
    while not Path("books").exists():
        await asyncio.sleep(0.01)
    left.cancel()
    await asyncio.gather(first, left, return_exceptions=True)
    await said("c")
    assert books("start", "end") == ["start a", "end a", "start c"]


async def test_the_pool_ends_what_it_was_ending_when_it_was_stopped():
    served_by(model("a", "--stubborn"), model("b"), stop_seconds=1.0)
    await said("a")
    wants_room = asyncio.create_task(said("b"))
    await asyncio.sleep(0.2)
    here = await pool()
    await here.close()
    with pytest.raises(asyncio.CancelledError):
        await wants_room
    assert gone(pids()[0]), "it was sent SIGTERM, which it ignores, when the wait for its end was cut off"


async def test_an_engine_is_told_no_key_and_a_long_log_begins_anew(monkeypatch):
    for name in ("SOME_PROVIDER_API_KEY", "SYMPOSIA_REWARD_KEY", "SYMPOSIA_STORE"):
        monkeypatch.setenv(name, "secret")
    served_by(model("a"))
    log = Path(".symposia/engines/a.log")
    log.parent.mkdir(parents=True)
    with log.open("wb") as old:
        old.truncate(17 * 2**20)
    await said("a")
    assert b"secret" not in Path(f"/proc/{pids()[0]}/environ").read_bytes()
    assert log.stat().st_size < 2**20
    assert log.with_suffix(".old.log").stat().st_size == 17 * 2**20


async def test_last_words_are_those_of_this_start():
    log = Path(".symposia/engines/a.log")
    log.parent.mkdir(parents=True)
    log.write_text("out of memory, an hour ago\n")
    served_by(model("a", "--fail", "no such weights"))
    with pytest.raises(EngineFailed, match=r"it says: no such weights$"):
        try:
            await said("a")
        except EngineFailed as error:
            raise EngineFailed(error.message) from None


async def test_no_other_user_of_the_machine_can_ask_a_model():
    served_by(model("a"))
    await said("a")
    configure(attempts=1)
    port = Path(f"/proc/{pids()[0]}/cmdline").read_text().split("\0")
    address = f"http://127.0.0.1:{port[port.index('--port') + 1]}/v1"
    configure(api_base=address)
    async with opened(Run("r2")):
        with pytest.raises(MissingKey, match="does not accept the key"):
            await complete("solver", "a", HI)
    log = Path(".symposia/engines/a.log").read_text()
    assert "VLLM_API_KEY" not in log


@pytest.mark.parametrize("arguments", [(), ("--stubborn", "--child")], ids=["willing", "stubborn"])
def test_an_engine_dies_when_its_owner_is_killed(arguments):
    code = (
        "import asyncio, sys; sys.path.insert(0, sys.argv[1]); import test_pool as t\n"
        "t.served_by(t.model('a', *sys.argv[2:]), stop_seconds=0.3)\n"
        "async def main():\n    await t.said('a'); print('ready', flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(ENGINE.parent), *arguments], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "ready\n"
    owner.stdout.close()
    owner.kill()
    owner.wait()
    until = time.monotonic() + 10
    started = [*pids(), *pids("child")]
    while not all(map(gone, started)) and time.monotonic() < until:
        time.sleep(0.02)
    assert all(map(gone, started))


# -- batches --------------------------------------------------------------------------------------------------------------------------


CONFIG = f"""
[pool]
command = "{sys.executable} {ENGINE} {{name}} --port {{port}} --books books"
[pool.models.a]
weights = "a"
[pool.models.b]
weights = "b"
"""


def batch(symposia: Command, *options: str, config: str = CONFIG):
    Path("symposia.toml").write_text(config)
    Path("in.jsonl").write_text("".join(json.dumps({"id": i, "question": f"2 + {i}?"}) + "\n" for i in range(12)))
    roles = ("--model", "local/a", "--role", "solver=local/a,local/b")
    return symposia("batch", "self_consistency", "in.jsonl", "-o", "out.jsonl", "-p", "k=2", "--concurrency", "4", *roles, *options)


def test_grouped_each_model_is_loaded_once_and_ungrouped_more_often(symposia: Command) -> None:
    done = batch(symposia, "--order", "model", "--json")
    assert done.code == 0, done.err
    assert {name: one["loads"] for name, one in done.json["engines"].items()} == {"local/a": 1, "local/b": 1}
    assert sorted(pid for one in done.json["engines"].values() for pid in one["pids"]) == sorted(set(pids()))
    answers = [json.loads(line)["answer"] for line in Path("out.jsonl").read_text().splitlines()]
    Path("books").unlink()
    Path("out.jsonl").unlink()
    again = batch(symposia, "--order", "row", "--json")
    assert again.code == 0, again.err
    assert sum(one["loads"] for one in again.json["engines"].values()) > 2
    assert [json.loads(line)["answer"] for line in Path("out.jsonl").read_text().splitlines()] == answers
    assert "take turns" in again.err
    assert "local/b (solver), up to 12 calls: " in again.err
    assert "for up to 24 calls in all" in again.err


def in_flight():
    """The calls that each engine had in flight after each of them was asked or answered, as the engines wrote it down."""
    found, now = [], Counter()
    for line in books("asked", "call"):
        event, name = line.split()
        now[name] += 1 if event == "asked" else -1
        found.append(+now)
    return found


@pytest.mark.parametrize("beside", [True, False], ids=["two fit in", "one fits in"])
def test_models_that_fit_in_together_work_at_the_same_time(symposia: Command, beside: bool) -> None:
    setup = "memory = 80\nresident = 3\n" if beside else "resident = 1\n"
    waits = {"a": 'arguments = ["--beside", "b"]', "b": 'arguments = ["--beside", "a"]'} if beside else {}
    sizes = {"a": 40, "b": 30, "c": 60}
    tables = [f'[pool.models.{name}]\nweights = "{name}"\nmemory = {size}\n{waits.get(name, "")}\n' for name, size in sizes.items()]
    tables = tables if beside else [table.replace("memory", "# memory") for table in tables]
    options = ("--role", "solver=local/c", "-p", "k=3", "--order", "model", "--store", "s.db", "--json")
    done = batch(symposia, *options, config=CONFIG.partition("[pool.models")[0] + setup + "".join(tables))
    assert done.code == 0, done.err
    assert {name: one["loads"] for name, one in done.json["engines"].items()} == {"local/a": 1, "local/b": 1, "local/c": 1}
    assert books("start") == ["start a", "start b", "start c"]
    assert Counter(books("call")) == {"call a": 12, "call b": 12, "call c": 12}
    assert [beside] * 2 == ["at the same time as it" in done.err, any({"a", "b"} <= now.keys() for now in in_flight())]
    assert all(now.keys() <= {"a", "b"} or now.keys() == {"c"} for now in in_flight())
    lines = sorted((json.loads(line) for line in Path("out.jsonl").read_text().splitlines()), key=lambda line: line["row"])
    assert [(line["answer"], line["calls"]["by_role"]) for line in lines] == [("4", {"solver": 3})] * 12
    said = [[(f"2.solve.b{n}", f"I am {'abc'[n]}. The answer is \\boxed{{4}}.") for n in range(3)]]
    assert asyncio.run(replies(lines)) == said * 12


async def replies(lines):
    """The place and text of each call of each run of a batch."""
    async with open_store("s.db") as store:
        entries = [[e for e in await store.entries(line["run_id"]) if e.usage.calls] for line in lines]
    return [sorted((e.place, e.outcome["value"]["choices"][0]["text"]) for e in made) for made in entries]


@pytest.mark.parametrize(("resident", "second", "inside"), [(2, "local/b", ["a", "b"]), (1, "local/b", ["a"]), (2, "other/b", ["a", "c"])])
async def test_a_model_joins_those_present_where_it_fits_in_beside_them(resident, second, inside):
    configure(pool=PoolSettings({name: Hosted(name, "w") for name in "abc"}, resident=resident))
    order, found = ByModel(lambda _: None), []

    async def call(model):
        async with limiter(model):
            found.append(model[-1])

    async with opened(Run("r")) as run:
        order.opened({"run_id": "r"}, run)
        tasks = [asyncio.create_task(call("local/a"))]
        await asyncio.sleep(0)
        order.turn(idle=False)
        tasks += [asyncio.create_task(call(model)) for model in (second, "local/c", "local/unknown")]
        await asyncio.sleep(0.01)
        assert found == inside
        assert order.present == {f"local/{name}" for name in inside}
    order.close()
    await asyncio.gather(*tasks)
    assert sorted(found) == ["a", "b", "c", "n"]


def test_the_plan_is_shown_and_starts_nothing(symposia: Command) -> None:
    done = batch(symposia, "--dry-run", "--json")
    assert done.code == 0, done.err
    assert [one["model"] for one in done.json["pool"]] == ["local/a", "local/b"]
    assert done.json["pool"][0]["command"].endswith("a --port PORT --books books")
    assert [one["calls"] for one in done.json["pool"]] == [12, 12]
    assert (done.json["calls_at_most"], done.json["calls_by_model"]) == (24, {"local/a": 12, "local/b": 12})
    assert not Path("books").exists()


def test_a_run_says_what_it_starts_before_it_does(symposia: Command) -> None:
    Path("symposia.toml").write_text('[pool]\ncommand = "no-such-engine {port}"\n[pool.models.a]\nweights = "a"\n')
    done = symposia("run", "chain_of_thought", "2 + 2?", "--model", "local/a")
    assert done.code == 1
    assert -1 < done.err.find("local/a (*): no-such-engine PORT") < done.err.find("there is no program")


@pytest.mark.parametrize(
    ("options", "says"),
    [(("--engine", "processes"), "one process holds"), (("--role", "solver=local/c"), "unknown model of the pool 'c'")],
)
def test_what_the_pool_cannot_do_is_said_before_any_call(symposia: Command, options, says) -> None:
    done = batch(symposia, *options)
    assert done.code == 2
    assert says in done.err
    assert not Path("books").exists()


def test_a_batch_that_is_killed_leaves_no_engine_and_goes_on(symposia: Command) -> None:
    done = batch(symposia, "--order", "model", "--limit", "2", "--json")
    assert done.code == 0, done.err
    assert all(gone(pid) for pid in pids())
    again = batch(symposia, "--order", "model", "--json")
    assert again.code == 0, again.err
    assert again.json["rows"]["done_before"] == 2


TOLD = [name for name in registry.names() if registry.load(name).method.by_role]


@pytest.mark.parametrize("roles", [{}, {"solver": ["script/a", "script/b"]}, None], ids=["one model", "two solvers", "all of two"])
@pytest.mark.parametrize("name", TOLD)
async def test_the_calls_of_a_model_are_those_of_the_longest_course(name, roles, script, sqlite):
    worst(script)
    loaded = registry.load(name)
    known = {*loaded.method.by_role, *loaded.method.by_choice}
    named = {role: [f"script/{role}", "script/b"] for role in known} if roles is None else roles
    record = record_of(name, model="script/any", roles={role: models for role, models in named.items() if role in loaded.method.roles})
    result = await runs.start(sqlite, record)
    assert result.status == "ok", result.error
    made, by_choice = Counter(), Counter()
    for entry in await sqlite.entries(result.run_id):
        chosen = entry.usage.role in loaded.method.by_choice
        (by_choice if chosen else made)[entry.request.get("model")] += entry.usage.calls
    params = make_params(loaded, record["params"])
    told, most = calls_by_model(loaded.method, params), Counter()
    for role, calls in loaded.method.by_choice.items():
        models = params.roles.get(role, params.model)
        most.update(dict.fromkeys([models] if isinstance(models, str) else models, loaded.method.count(calls, params)))
    assert told == {model: made[model] + most[model] for model in told}
    assert all(by_choice[model] <= most[model] for model in by_choice)
    assert sum(by_choice.values()) == sum(loaded.method.count(calls, params) for calls in loaded.method.by_choice.values())
    assert told
