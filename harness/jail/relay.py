"""The only way from a jail to the outside: its own loopback's port 443 leads to the proxy, nothing else.

Runs as a program of its own, as root, in the network and the mounts of the jail that `unshare` just made,
and becomes the jail. Before that it forgets the kernel's keys, mounts what the jail's user could not
reach by itself, and starts the relay, which goes back to the host's network with the listening socket: a
socket belongs to the network it was made in, whoever holds it. So the relay is out of the jail's reach,
and the jail needs no rights over its network. The relay has the jail's user, since its parent, which
becomes the jail, must have the right to end it by dying.

    python -I way.py HOST-NETWORK PROXY-HOST PROXY-PORT UID CGROUPS MOUNTS -- COMMAND...
    python -I way.py relay FD PROXY-HOST PROXY-PORT PARENT

CGROUPS: the files of the control groups that the command belongs to, separated by colons. MOUNTS: a file
of JSON, a list of pairs: what to mount, and where.
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
MOST = 64  # connections at once; further ones wait
CHUNK = 65536  # bytes
PATIENCE = 10.0  # seconds for the proxy to accept


def main() -> None:
    """Open the way, start the relay, become the command."""
    host_network, host, port, uid, cgroups, mounts, _, *command = sys.argv[1:]
    _forget_keys()
    for source, target in json.loads(Path(mounts).read_text()):
        _mount(source, target)
    _raise_loopback()
    listener = socket.create_server(("127.0.0.1", PORT), backlog=MOST)
    listener.set_inheritable(True)
    relay = [sys.executable, "-I", __file__, "relay", str(listener.fileno()), host, port]
    relay += [str(os.getpid())]
    enter = ["nsenter", f"--net={host_network}", "--"]
    drop = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    drop += ["--no-new-privs", "--bounding-set=-all", "--"]
    drop += ["setpriv", "--pdeathsig=KILL", "--"]  # a change of the user would forget it
    if os.fork() == 0:
        os.execvp(enter[0], [*enter, *drop, *relay])  # noqa: S606 - an argument list, no shell
    listener.close()
    for path in cgroups.split(":"):
        Path(path).write_text(str(os.getpid()))
    os.execvp(command[0], command)  # noqa: S606 - an argument list, no shell


def _forget_keys() -> None:
    """Take an empty ring of keys: a child keeps that of its parents, whatever user it becomes."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(KEYCTL[platform.machine()], KEYCTL_JOIN_SESSION_KEYRING, None) < 0:
        raise OSError(ctypes.get_errno(), "cannot take a new ring of keys")


def _mount(source: str, target: str) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(source.encode(), target.encode(), None, MS_BIND, None) != 0:
        raise OSError(ctypes.get_errno(), "cannot mount", source)


def _raise_loopback() -> None:
    request = struct.pack("16sh", b"lo", IFF_UP | IFF_RUNNING)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, request)


def relay(fd: int, proxy: tuple[str, int]) -> None:
    """Hand every connection on to the proxy, until we are ended."""
    listener = socket.socket(fileno=fd)
    room = threading.Semaphore(MOST)
    while True:
        room.acquire()
        caller, _ = listener.accept()
        threading.Thread(target=_join, args=(caller, proxy, room), daemon=True).start()


def _join(caller: socket.socket, proxy: tuple[str, int], room: threading.Semaphore) -> None:
    """Pass bytes between a caller and the proxy until both have said all."""
    with contextlib.ExitStack() as stack:
        stack.callback(room.release)
        stack.enter_context(caller)
        stack.enter_context(contextlib.suppress(OSError))
        far = stack.enter_context(socket.create_connection(proxy, timeout=PATIENCE))
        far.settimeout(None)
        back = threading.Thread(target=_pass_on, args=(far, caller), daemon=True)
        back.start()
        _pass_on(caller, far)
        back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    if sys.argv[1] == "relay":
        fd, host, port, parent = sys.argv[2:]
        if os.getppid() == int(parent):  # else it died before we asked for the signal of its death
            relay(int(fd), (host, int(port)))
    else:
        main()
