"""What the pool knows before it starts anything: the models, what they take, and the command that serves each."""

import re
import shlex
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from symposia.state.errors import BadInput, UnknownName

LOCAL: Final = "local/"
"""What the names of the pool's models begin with."""
HOST: Final = "127.0.0.1"
VLLM: Final = (
    "vllm serve {weights} --served-model-name {name} --host {host} --port {port} --gpu-memory-utilization {fraction}"
    " --disable-uvicorn-access-log"
)
"""Every request would be a line of its log."""
_HUB: Final = re.compile(r"[\w.-]+/[\w.-]+")
_SPARE: Final = 0.9
"""Share of an accelerator's memory that engines may take in all: vLLM's own default for one engine."""


@dataclass(frozen=True)
class Hosted:
    """A model that the pool can serve."""

    name: str
    weights: str
    """Folder, or name on the hub."""
    memory: float | None = None
    """GiB of the accelerator that its engine may take; None for an equal share. It counts as much in RAM while the engine sleeps."""
    quantization: str | None = None
    """How its weights are quantised, where the engine cannot tell: `awq`, `gptq`, `fp8`, ..."""
    arguments: tuple[str, ...] = ()
    """Further arguments of the command."""
    command: str | None = None
    """Command template of its own."""


@dataclass(frozen=True)
class PoolSettings:
    """How models are served here."""

    models: Mapping[str, Hosted] = field(default_factory=dict)
    command: str = VLLM
    """Command template with `{weights}`, `{name}`, `{host}`, `{port}` and `{fraction}`, the share of the accelerator's memory."""
    memory: float | None = None
    """GiB of the accelerator; with it, engines stay while their sizes fit in, beside the bound of `resident`."""
    resident: int = 1
    """Engines that are ready at a time, at most."""
    sleep_memory: float = 0.0
    """GiB of RAM for engines that sleep (vLLM's sleep mode); with 0 an engine without room ends, as does one of unknown `memory`.

    A sleeping engine keeps a GiB or two of the accelerator, which `memory` must leave free.
    """
    health: str = "/health"
    """Path that answers 200 once an engine is ready."""
    start_seconds: float = 900.0
    stop_seconds: float = 20.0
    """Seconds an engine has to end by itself, before it is killed."""
    logs: str = ".symposia/engines"
    """Folder for what engines print."""

    def __post_init__(self) -> None:
        """Check that every model fits by itself.

        Raises:
            BadInput: One does not.
        """
        for one in self.models.values():
            if self.memory is not None and (one.memory or 0.0) > self.memory * _SPARE:
                raise BadInput(
                    f"pool.models.{one.name!r} takes {one.memory:g} GiB, of an accelerator of {self.memory:g} GiB",
                    remedy=f"lower its memory to {self.memory * _SPARE:.3g} at most: the rest is the driver's",
                )

    def share(self, model: Hosted) -> float:
        """Share of the accelerator's memory, from 0 to 1, that a model's engine may take."""
        if self.memory is None or model.memory is None:
            return round(_SPARE / self.resident, 3)
        return round(model.memory / self.memory, 3)

    def fits(self, models: list[Hosted]) -> bool:
        """Whether the engines of these models can be ready together."""
        shares = sum(self.share(model) for model in models)
        return len(models) <= self.resident and shares <= _SPARE + 1e-9

    def naps(self, models: list[Hosted]) -> bool:
        """Whether the weights of these models can sleep in RAM together; a model of unknown size cannot."""
        return self.sleep_memory > 0 and sum(model.memory or self.sleep_memory + 1 for model in models) <= self.sleep_memory


def of_pool(model: str) -> str | None:
    """`local/NAME` of a role's model, also of a reward model `reward/local/NAME?...`; None for one that others serve."""
    bare = model.removeprefix("reward/").partition("?")[0] if model.startswith(f"reward/{LOCAL}") else model
    return bare if bare.startswith(LOCAL) else None


def hosted(name: str, settings: PoolSettings) -> Hosted:
    """The model behind `local/NAME`: one that is set up, else a folder or a name on the hub.

    Raises:
        UnknownName: It is none of these.
    """
    bare = name.removeprefix(LOCAL)
    if bare in settings.models:
        return settings.models[bare]
    if _HUB.fullmatch(bare) or Path(bare).is_dir():
        return Hosted(bare, bare)
    raise UnknownName.of(
        "model of the pool", bare, settings.models, remedy='set it up in symposia.toml: [pool.models."NAME"] with weights = '
    )


def together(models: Sequence[str], settings: PoolSettings) -> bool:
    """Whether all of these models, by the names that roles or their calls give them, are the pool's and fit in together."""
    names = {of_pool(model) for model in models}
    try:
        return None not in names and settings.fits([hosted(str(name), settings) for name in names])
    except UnknownName:  # its own call says so
        return False


def asked_as(model: Hosted, settings: PoolSettings) -> str:
    """The name that requests carry: the model's own where the command tells it to the engine, else that of its weights."""
    return model.name if "{name}" in (model.command or settings.command) else model.weights


def command_of(model: Hosted, settings: PoolSettings, port: int | str) -> list[str]:
    """The command that serves a model, a list of arguments: no shell reads it.

    Raises:
        BadInput: The template cannot be read, or does not tell the engine its port.
    """
    template = model.command or settings.command
    fields = {"weights": model.weights, "name": model.name, "host": HOST, "port": str(port), "fraction": f"{settings.share(model):g}"}
    try:
        words = [word.format(**fields) for word in shlex.split(template)]
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        remedy = f"its placeholders are {', '.join(f'{{{name}}}' for name in fields)}; other braces are doubled, or stand in `arguments`"
        raise BadInput(f"the pool's command {template!r} cannot be read: {error}", remedy=remedy) from None
    if not words:
        raise BadInput("the pool's command is empty", remedy="leave it out for `vllm serve`")
    if "port" not in {name for _, name, _, _ in string.Formatter().parse(template)}:
        raise BadInput(f"the pool's command {template!r} tells its engine no port", remedy="put {port} in, which is another one each time")
    if model.quantization:
        words += ["--quantization", model.quantization]
    if settings.sleep_memory > 0:
        words.append("--enable-sleep-mode")
    return [*words, *model.arguments]
