"""What code in the sandbox may read, and the command that starts a fork server in each isolation."""

import json
import os
import random
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from symposia.state.errors import BadInput
from symposia.tools.isolation.kernel import FOLDER_BYTES

ISOLATIONS: Final = ("bubblewrap", "landlock+seccomp+namespaces", "landlock+seccomp", "none")
"""From the closest on; `none` limits time, memory and files, and hides nothing."""

_HERE: Final = Path(__file__).parent
_PACKAGE: Final = "symposia.tools.isolation"
_INSIDE: Final = ("filters", "kernel", "runner", "server")  # in the order in which they import one another
_NOBODY: Final = 65534
_UIDS: Final = (range(1 << 30, (1 << 30) + (1 << 26)), range(61_184, 65_520))  # ranges that no distribution gives to anybody
_ROOTS: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store")
_DATA: Final = ("/etc/ld.so.cache", "/usr/share/zoneinfo")
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_INSTALLED: Final = ("site-packages", "dist-packages")
_FOLDER: Final = "/work"
_START: Final = """
import json, sys, types
given, sources = map(json.loads, sys.argv[1:])
for name, source in sources.items():
    module = types.ModuleType(name)
    sys.modules[name] = module
    package, _, last = name.rpartition(".")
    sys.modules.setdefault(package, types.ModuleType(package)).__dict__[last] = module
    exec(compile(source, name, "exec"), module.__dict__)
sys.modules["symposia.tools.isolation.server"].main(given)
"""


def command(isolation: str, profile: str, control: int, folder: str | None) -> list[str]:
    """The arguments that start a fork server.

    Args:
        isolation: one of `ISOLATIONS`.
        profile: `stdlib`, or `numeric` with numpy.
        control: the descriptor of the socket that it serves.
        folder: an empty folder of this process, where the isolation makes none of its own.

    Raises:
        BadInput: numpy is asked for and not installed.
    """
    root, wrapped = os.getuid() == 0, isolation == "bubblewrap"
    packages = _numpy() if profile == "numeric" else []
    uid = random.choice(_uids()) if root else _NOBODY
    given: dict[str, Any] = {
        **{"isolation": isolation, "control": control, "uid": uid, "gid": uid, "was_root": root, "devices": _DEVICES},
        **{"folder": _FOLDER if wrapped else folder, "modules": ["numpy", "numpy.linalg", "numpy.random"] if packages else []},
        "paths": sorted({"/numeric" if wrapped else str(one.parent) for one in packages}),
        "readable": [] if wrapped else [*_parts(), *_DATA, *map(str, packages)],
        "listable": [] if wrapped else [_stdlib(), *sorted({str(one.parent) for one in packages})],
    }
    flags = ["-P", "-s", "-S", "-B", "-X", "utf8"]
    inner = [_interpreter(), *flags, "-c", _START, json.dumps(given), _sources()]
    return [*_bubblewrap(root, packages), "--", *inner] if wrapped else inner


def environment(profile: str) -> dict[str, str]:
    """The variables of a fork server: hashes in the same order in all of them, numpy without threads. Runs see none."""
    return {"PYTHONHASHSEED": "0", **({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} if profile == "numeric" else {})}


def _bubblewrap(root: bool, packages: list[Path]) -> list[str]:
    """The isolation of `bubblewrap`: nothing but what is named here is there, no /proc either.

    Started by root it makes no user namespace: in one the code would be root to the host's files and above its limit of processes. The
    server changes to a user of its own instead, for which it keeps two capabilities until it has.
    """
    made = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent"]
    made += ["--hostname", "sandbox", "--new-session", "--as-pid-1", "--cap-drop", "ALL"]
    if root:
        made += [word for one in ("SETUID", "SETGID") for word in ("--cap-add", f"CAP_{one}")]
    else:
        made += ["--unshare-user", "--uid", str(_NOBODY), "--gid", str(_NOBODY)]
    hidden = []
    shown = [*_places(), *map(Path, (_interpreter(), *_DATA, *_DEVICES, "/numeric/numpy"))]
    for parent in sorted({one for place in shown for one in place.parents if one != Path("/")}):
        made += ["--perms", "0755", "--dir", str(parent)]  # it would make them for their owner only
    for place in _places():
        if place.is_symlink():
            made += ["--symlink", os.readlink(place), str(place)]
            continue
        made += ["--ro-bind", str(place), str(place)]
        hidden += [one for one in _installed(place) if one not in hidden]
    made += ["--ro-bind", _interpreter(), _interpreter()]
    made += [word for one in _DATA for word in ("--ro-bind-try", one, one)]
    made += [word for one in hidden for word in ("--tmpfs", str(one), "--remount-ro", str(one))]
    made += [word for one in packages for word in ("--ro-bind", str(one), f"/numeric/{one.name}")]
    made += [word for one in _DEVICES for word in ("--dev-bind", one, one)]
    return [
        *("bwrap", *made, "--perms", "0777", "--size", str(FOLDER_BYTES), "--tmpfs", _FOLDER),
        *("--remount-ro", "/", "--chdir", _FOLDER),
    ]


@cache
def _places() -> list[Path]:
    """Folders of shared libraries and of the interpreter, none inside of another."""
    prefix = Path(sys.base_prefix)
    wanted = [Path(one) for one in (*_ROOTS, prefix / "lib", prefix / "lib64", _stdlib(), sysconfig.get_path("platstdlib"))]
    found: list[Path] = []
    for one in wanted:
        inside = any(one.is_relative_to(other) for other in found if not other.is_symlink())
        if (one.is_dir() or one.is_symlink()) and one not in found and not inside:
            found.append(one)
    return found


def _installed(place: Path) -> list[Path]:
    """Folders of installed packages, which are no part of the standard library."""
    inner = [place, Path(_stdlib()), *place.glob("python*")]
    return [one / name for one in inner if one.is_relative_to(place) for name in _INSTALLED if (one / name).is_dir()]


def _parts() -> list[str]:
    """The same places for Landlock, where a folder is readable with all that is in it: without installed packages."""
    stdlib = Path(_stdlib())

    def parts(folder: Path) -> Iterator[Path]:
        for one in folder.iterdir():
            if one.name in _INSTALLED:
                continue
            if stdlib.is_relative_to(one) or (one.name.startswith("python") and one.is_dir()):
                yield from parts(one)
            else:
                yield one

    folders = [one for one in _places() if not one.is_symlink()]
    return [_interpreter(), *(str(part) for folder in folders for part in parts(folder))]


@cache
def _sources() -> str:
    return json.dumps({f"{_PACKAGE}.{name}": (_HERE / f"{name}.py").read_text(encoding="utf-8") for name in _INSIDE})


@cache
def _numpy() -> list[Path]:
    """The folder of numpy, and that of the libraries it brings."""
    spec = find_spec("numpy")
    if spec is None or not spec.origin:
        raise BadInput("code of the profile numeric needs numpy, which is not installed", remedy="pip install numpy")
    package = Path(spec.origin).parent
    return [one for one in (package, package.with_name("numpy.libs")) if one.is_dir()]


def _uids() -> range:
    """Numbers of users that root can give to a server: nobody else's processes count against its limit, nor its own files."""
    try:
        lines = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    except OSError:
        lines = []
    for wanted in _UIDS:
        if any(start <= wanted.start and wanted.stop <= start + length for start, _, length in lines):
            return wanted
    return range(_NOBODY, _NOBODY + 1)


def _stdlib() -> str:
    return os.path.realpath(sysconfig.get_path("stdlib"))


def _interpreter() -> str:
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
