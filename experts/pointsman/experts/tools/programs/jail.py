"""Gives up what a tool does not need, then becomes the tool. Run as a script: `python -I jail.py LIMITS COMMAND...`.

Time, memory and the size of files are limited by the kernel (setrlimit). Files: only what is named can be read, only
the call's own folder written (Landlock, Linux 5.13 and later). Network: a namespace of its own with no device in it
(unshare), else TCP by Landlock. What this machine cannot enforce is refused with exit code 125, unless `lenient`.

Standard library only: it must start fast, and nothing of ours belongs into a process that runs foreign code.
"""

import ctypes
import json
import os
import resource
import sys

REFUSED = 125
"""The exit code of a process that could not be held to its limits; nothing was run."""
NO_NEW_PRIVS = 38
NEW_USER, NEW_NET = 0x10000000, 0x40000000
CREATE, ADD, RESTRICT = 444, 445, 446
"""Landlock's system calls; the numbers are the same on every architecture."""
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL = 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL
READS = EXECUTE | READ_FILE | READ_DIR
BITS = {1: 13, 2: 14, 3: 15, 4: 15}
"""Kinds of access that a version of Landlock knows; 16 from the fifth on."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/dev/full")
LIBC = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """This machine cannot enforce a limit."""


class Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


def limited(limits: "dict[str, int]") -> None:
    """Seconds of the processor, bytes of memory and of a file; no core dump."""
    for kind, most in (
        (resource.RLIMIT_CPU, limits["cpu"]),
        (resource.RLIMIT_AS, limits["memory"]),
        (resource.RLIMIT_FSIZE, limits["file"]),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))


def version() -> int:
    """Of Landlock; 0 where there is none."""
    found: int = LIBC.syscall(CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(0, found)


def without_network() -> bool:
    """A network of one's own, with nothing in it. Whether that could be had."""
    user, group = os.getuid(), os.getgid()
    if LIBC.unshare(NEW_NET) == 0:
        return True
    if LIBC.unshare(NEW_USER | NEW_NET) != 0:
        return False
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        try:
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
        except OSError:
            pass  # files stay those of the same user, whatever they are called inside
    return True


def within(read: "list[str]", write: "list[str]", *, network: bool) -> bool:
    """Only these paths from now on. Whether that could be had."""
    abi = version()
    if not abi:
        return False
    every = (1 << BITS.get(abi, 16)) - 1
    rules = Ruleset(every, 0 if network or abi < 4 else 3, 3 if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = LIBC.syscall(CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    for paths, access in ((read, READS), (write, every), (DEVICES, READ_FILE | WRITE_FILE)):
        for path in paths:
            _allow(ruleset, path, access & every)
    LIBC.prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
    restricted: int = LIBC.syscall(RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)
    return restricted == 0


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there need not be allowed
    if not os.path.isdir(path):
        access &= OF_FILES
    rule = Beneath(access, parent)
    LIBC.syscall(
        ADD, ctypes.c_int(ruleset), ctypes.c_int(1), ctypes.byref(rule), ctypes.c_uint32(0)
    )
    os.close(parent)


def held(limits: "dict[str, object]") -> None:
    """Gives up everything that the limits take away. Raises Refused."""
    lenient, network = bool(limits["lenient"]), bool(limits["network"])
    alone = network or without_network()
    read, write = list(limits["read"]), list(limits["write"])  # type: ignore[call-overload]
    if not within(read, write, network=network) and not lenient:
        raise Refused("its files cannot be limited here (Landlock is missing)")
    if not alone and not lenient:
        raise Refused("it cannot be kept from the network here (namespaces are not allowed)")
    limited(limits)  # type: ignore[arg-type]


def main() -> None:
    limits, command = json.loads(sys.argv[1]), sys.argv[2:]
    try:
        held(limits)
        os.execv(command[0], command)
    except (Refused, OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - read by whoever started us
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
