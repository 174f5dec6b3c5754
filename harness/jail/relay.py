"""The jail's only way out: port 443 of its own loopback, relayed to the proxy.

Runs as a program of its own (`python -I`, without the harness) and as root, in the network and mount
namespaces that `unshare` just made. In this order it

1. joins a new session keyring, because a child otherwise inherits the keys of the host's processes;
2. mounts what the jail's user could not reach by itself;
3. listens on port 443 of the jail's loopback, and starts the relay with that socket in the host's network:
   a socket stays in the network namespace that it was made in, even if a process elsewhere uses it. So the
   relay is out of the jail's reach, and the jail needs no rights over its network;
4. joins the control groups and executes the jail's command.

The relay runs as the jail's UID so that its parent, which becomes the jail, may kill it by exiting
(PR_SET_PDEATHSIG).

    python -I relay.py HOST-NETWORK PROXY-HOST PROXY-PORT UID CGROUPS MOUNTS -- COMMAND...
    python -I relay.py relay FD PROXY-HOST PROXY-PORT PARENT

CGROUPS: the `cgroup.procs` files to join, separated by colons. MOUNTS: a JSON file, a list of pairs of source
and target.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import socket
import struct
import sys
import threading
from pathlib import Path

MS_BIND = 4096  # linux/mount.h
KEYCTL = {"x86_64": 250, "aarch64": 219}  # linux/unistd.h
KEYCTL_JOIN_SESSION_KEYRING = 1  # linux/keyctl.h
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 1, 64  # linux/sockios.h, linux/if.h
PORT = 443  # where `https://<domain>/` goes
MAX_CONNECTIONS = 64  # at the same time; more of them wait
CHUNK = 65536  # bytes
CONNECT_TIMEOUT = 10.0  # seconds for the proxy to accept


def main() -> None:
    """Prepare the namespaces, start the relay and execute the command."""
    host_network, host, port, uid, cgroups, mounts, _, *command = sys.argv[1:]
    _join_new_keyring()
    for source, target in json.loads(Path(mounts).read_text()):
        _mount(source, target)
    _bring_up_loopback()
    listener = socket.create_server(("127.0.0.1", PORT), backlog=MAX_CONNECTIONS)
    listener.set_inheritable(True)
    relay = [sys.executable, "-I", __file__, "relay", str(listener.fileno()), host, port]
    relay += [str(os.getpid())]
    enter = ["nsenter", f"--net={host_network}", "--"]
    drop = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    drop += ["--no-new-privs", "--bounding-set=-all", "--"]
    drop += ["setpriv", "--pdeathsig=KILL", "--"]  # after the change of user, which clears it
    if os.fork() == 0:
        os.execvp(enter[0], [*enter, *drop, *relay])  # noqa: S606 - an argument list, no shell
    listener.close()
    for path in cgroups.split(":"):
        Path(path).write_text(str(os.getpid()))
    os.execvp(command[0], command)  # noqa: S606 - an argument list, no shell


def _join_new_keyring() -> None:
    """Join a new session keyring; otherwise children inherit ours, even as another user."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(KEYCTL[platform.machine()], KEYCTL_JOIN_SESSION_KEYRING, None) < 0:
        raise OSError(ctypes.get_errno(), "cannot join a new session keyring")


def _mount(source: str, target: str) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(source.encode(), target.encode(), None, MS_BIND, None) != 0:
        raise OSError(ctypes.get_errno(), "cannot mount", source)


def _bring_up_loopback() -> None:
    request = struct.pack("16sh", b"lo", IFF_UP | IFF_RUNNING)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, request)


def relay(fd: int, proxy: tuple[str, int]) -> None:
    """Connect every caller to the proxy, until we are killed."""
    listener = socket.socket(fileno=fd)
    slots = threading.Semaphore(MAX_CONNECTIONS)
    while True:
        slots.acquire()
        caller, _ = listener.accept()
        threading.Thread(target=_join, args=(caller, proxy, slots), daemon=True).start()


def _join(caller: socket.socket, proxy: tuple[str, int], slots: threading.Semaphore) -> None:
    """Copy bytes between a caller and the proxy until both have closed."""
    with contextlib.ExitStack() as stack:
        stack.callback(slots.release)
        stack.enter_context(caller)
        stack.enter_context(contextlib.suppress(OSError))
        upstream = stack.enter_context(socket.create_connection(proxy, timeout=CONNECT_TIMEOUT))
        upstream.settimeout(None)
        back = threading.Thread(target=_copy, args=(upstream, caller), daemon=True)
        back.start()
        _copy(caller, upstream)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    if sys.argv[1] == "relay":
        fd, host, port, parent = sys.argv[2:]
        if os.getppid() == int(parent):  # otherwise it exited before PDEATHSIG was set
            relay(int(fd), (host, int(port)))
    else:
        main()
