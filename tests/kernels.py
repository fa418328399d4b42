"""Kernels for the notebooks that need not import LiteLLM each: every one is a fork of a process that has it already.

`python tests/kernels.py serve SOCKET` imports, and forks a kernel for whoever connects, until its standard input ends.
`python tests/kernels.py SOCKET FILE` is such a kernel to the Jupyter client, which starts it, signals it and waits for it. A fork has the
folder and the environment of the one that asked, and nothing of what another notebook did.
"""

import json
import os
import select
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

_LOOK = 0.05  # seconds between two looks whether a kernel has ended


def serve(address: str) -> None:
    """Import, then fork for each connection."""
    import ipykernel.kernelapp  # noqa: F401

    from symposia.tools.providers import litellm

    litellm()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        while server in select.select([server, sys.stdin], [], [])[0]:
            client, _ = server.accept()
            with client:
                if os.fork() == 0:
                    server.close()
                    if os.fork() == 0:
                        _watch(client)
                    os._exit(0)
                os.wait()


def _watch(client: socket.socket) -> NoReturn:
    """Fork the kernel that was asked for, say its process, wait for its end or the asker's, and say how it ended."""
    asked = json.loads(client.makefile().readline())
    kernel = os.fork()
    if kernel == 0:
        client.close()
        _be_kernel(**asked)
    client.sendall(f"{kernel}\n".encode())
    ended, status = 0, 0
    while not ended:
        if client in select.select([client], [], [], _LOOK)[0]:
            os.kill(kernel, signal.SIGKILL)  # nobody waits for it any more
        ended, status = os.waitpid(kernel, os.WNOHANG)
    client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _be_kernel(file: str, folder: str, environment: dict[str, str]) -> NoReturn:
    """Start as a process of its own would."""
    from ipykernel.kernelapp import launch_new_instance

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    tempfile.tempdir = None
    sys.argv = ["ipykernel_launcher", "-f", file]
    sys.path[0] = ""
    launch_new_instance()
    os._exit(0)


def ask(address: str, file: str) -> int:
    """Have a kernel forked, hand on to it the signals that this process gets, and end as it does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)
        client.sendall(json.dumps({"file": file, "folder": str(Path.cwd()), "environment": dict(os.environ)}).encode() + b"\n")
        told = client.makefile()
        kernel = int(told.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda given, _: os.kill(kernel, given))
        return int(told.readline() or 1)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(ask(sys.argv[1], sys.argv[2]))
