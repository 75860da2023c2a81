"""The walls of the sandbox, asked of the Linux kernel for the process that calls: no libraries, only system calls.

In: the folders of the interpreter's library. Out: a process that sees nothing else. Two walls stand before every way
out, each enough alone:
    files      a mount namespace whose root holds the library, read-only, and a scratch folder in memory; Landlock
    network    a network namespace without interfaces; no call that makes a network socket; Landlock (TCP)
    processes  a process namespace that ends as one; no call that makes a process or thread, signals or traces one
Every function raises OSError where the kernel refuses: a wall that does not stand is never passed over in silence.
Only Landlock is left out on kernels without it (before 5.13).
Cost: about 2 ms.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from collections.abc import Sequence
from typing import Any, Final

# Nothing that the walls need stands under it, so the new root can be built on it before it becomes the root.
_NEW_ROOT: Final = "/proc"
SCRATCH: Final = "/scratch"
# Whoever runs the lake, the sandbox calls itself nobody.
_NOBODY: Final = 65534
_MAX_FILES: Final = 256  # in the scratch folder
MAX_DESCRIPTORS: Final = 64

# linux/sched.h, linux/mount.h, linux/prctl.h
_NEW_NAMESPACES: Final = {
    "user": 0x10000000,
    "mount": 0x00020000,
    "process": 0x20000000,
    "network": 0x40000000,
    "IPC": 0x08000000,
    "host name": 0x04000000,
    "control group": 0x02000000,
}
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
_MNT_DETACH: Final = 2
_AT_FDCWD: Final = -100
_AT_RECURSIVE: Final = 0x8000
_MOUNT_READ_ONLY: Final = 1 | 2 | 4  # RDONLY, NOSUID, NODEV
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER: Final = 2
_CAPABILITY_VERSION: Final = 0x20080522

# asm/unistd_64.h
_CAPSET, _PIVOT_ROOT, _MOUNT_SETATTR = 126, 155, 442
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
# What an interpreter needs that reads files, computes and waits. What is not here fails with EPERM: sockets (but for a
# pair connected to itself, which asyncio wakes up by), processes and threads, programs, signals to others, tracing,
# mounts, namespaces, keys, shared memory, io_uring, BPF, limits and priorities.
_ALLOWED_CALLS: Final = {
    "files": """
        read=0 write=1 open=2 close=3 stat=4 fstat=5 lstat=6 lseek=8 ioctl=16 pread64=17 pwrite64=18 readv=19
        writev=20 access=21 pipe=22 dup=32 dup2=33 sendfile=40 fcntl=72 flock=73 fsync=74 fdatasync=75 truncate=76
        ftruncate=77 getdents=78 getcwd=79 chdir=80 rename=82 mkdir=83 rmdir=84 creat=85 unlink=87 readlink=89
        chmod=90 fchmod=91 umask=95 statfs=137 fstatfs=138 getdents64=217 openat=257 mkdirat=258 newfstatat=262
        unlinkat=263 renameat=264 readlinkat=267 fchmodat=268 faccessat=269 utimensat=280 dup3=292 pipe2=293
        renameat2=316 copy_file_range=326 statx=332 close_range=436 faccessat2=439
    """,
    "memory": "mmap=9 mprotect=10 munmap=11 brk=12 mremap=25 msync=26 madvise=28",
    "signals to itself": """
        rt_sigaction=13 rt_sigprocmask=14 rt_sigreturn=15 getitimer=36 alarm=37 setitimer=38 sigaltstack=131
        restart_syscall=219
    """,
    "waiting": """
        poll=7 select=23 sched_yield=24 nanosleep=35 futex=202 epoll_create=213 clock_nanosleep=230 epoll_wait=232
        epoll_ctl=233 pselect6=270 ppoll=271 epoll_pwait=281 eventfd2=290 epoll_create1=291
    """,
    "socket pairs": "sendto=44 recvfrom=45 shutdown=48 socketpair=53",
    "knowing": """
        getpid=39 uname=63 gettimeofday=96 getrusage=98 sysinfo=99 times=100 getuid=102 getgid=104 geteuid=107
        getegid=108 getppid=110 gettid=186 time=201 sched_getaffinity=204 clock_gettime=228 clock_getres=229
        getrandom=318
    """,
    "ending": "exit=60 exit_group=231",
}
_AUDIT_ARCH_X86_64: Final = 0xC000003E
# linux/bpf_common.h and linux/seccomp.h: load a word, jump if equal, return.
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO_EPERM, _KILL = 0x7FFF0000, 0x00050001, 0x80000000
# linux/landlock.h: file rights by ABI version, reading among them; TCP from 4; signals and abstract sockets from 6.
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_READ_RIGHTS: Final = 1 << 2 | 1 << 3
_LANDLOCK_PATH: Final = 1

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def leave_namespaces() -> None:
    """Put this process and its children into namespaces of their own; children from now on are in a new process one.

    Raises:
        OSError: the kernel or its administrator allows no user namespaces.
    """
    user, group = os.getuid(), os.getgid()
    flags = 0
    for flag in _NEW_NAMESPACES.values():
        flags |= flag
    _call("unshare", flags)
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{_NOBODY} {user} 1"),
        ("gid_map", f"{_NOBODY} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(content)


def die_with_parent() -> None:
    """Have this process killed as soon as the one that started it ends."""
    _call("prctl", _PR_SET_PDEATHSIG, 9, 0, 0, 0)


def enter_new_root(library: Sequence[str], hidden: Sequence[str], scratch_bytes: int) -> None:
    """Make a root that holds the folders `library`, read-only and without the folders `hidden`, and SCRATCH.

    SCRATCH is a folder in memory of `scratch_bytes`, and the working directory. Everything else is gone for good.
    """
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)  # what is mounted here is not seen outside
    _mount("tmpfs", _NEW_ROOT, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "size=1m,mode=755")
    for folder in library:
        target = _NEW_ROOT + folder
        os.makedirs(target, exist_ok=True)
        _mount(folder, target, None, _MS_BIND | _MS_REC)
    for folder in hidden:
        _mount("tmpfs", _NEW_ROOT + folder, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "size=4k,mode=755")
    scratch = _NEW_ROOT + SCRATCH
    os.mkdir(scratch)
    _read_only(_NEW_ROOT)
    options = f"size={scratch_bytes},nr_inodes={_MAX_FILES},mode=700"
    _mount("tmpfs", scratch, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, options)
    os.chdir(_NEW_ROOT)
    _system_call(_PIVOT_ROOT, b".", b".")
    _call("umount2", b".", _MNT_DETACH)
    os.chdir(SCRATCH)
    _call("sethostname", b"sandbox", 7)


def drop_privileges() -> None:
    """Give up all capabilities, for this process and those it starts; no program can bring them back."""
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _system_call(_CAPSET, struct.pack("II", _CAPABILITY_VERSION, 0), bytes(24))


def confine(library: Sequence[str], cpu_s: int, memory_bytes: int, file_bytes: int) -> None:
    """The last walls, for good: limits, Landlock and the filter of system calls."""
    limits = {
        # At the first the kernel sends a signal that a program may ignore, at the second one that it cannot.
        resource.RLIMIT_CPU: (cpu_s, cpu_s + 1),
        resource.RLIMIT_AS: (memory_bytes, memory_bytes),
        resource.RLIMIT_FSIZE: (file_bytes, file_bytes),
        resource.RLIMIT_NOFILE: (MAX_DESCRIPTORS, MAX_DESCRIPTORS),
        resource.RLIMIT_NPROC: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
    }
    for limit, values in limits.items():
        resource.setrlimit(limit, values)
    _landlock(library)
    _filter_calls()


def _landlock(library: Sequence[str]) -> None:
    """Only reading under `library` and everything but programs under SCRATCH; no TCP, no signals to others."""
    version = _libc.syscall(ctypes.c_long(_LANDLOCK_CREATE_RULESET), None, ctypes.c_long(0), ctypes.c_long(1))
    if version < 1:
        return  # a kernel without it
    rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    words = [rights, *([3] if version >= 4 else []), *([3] if version >= 6 else [])]
    attributes = struct.pack(f"{len(words)}Q", *words)
    rules = _system_call(_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    for folder in (*library, SCRATCH):
        descriptor = os.open(folder, os.O_PATH)
        allowed = rights & ~1 if folder == SCRATCH else _READ_RIGHTS
        rule = struct.pack("=Qi", allowed, descriptor)
        _system_call(_LANDLOCK_ADD_RULE, rules, _LANDLOCK_PATH, rule, 0)
        os.close(descriptor)
    _system_call(_LANDLOCK_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _filter_calls() -> None:
    """Let only `_ALLOWED_CALLS` through; another architecture's numbers end the process."""
    numbers = [int(call.split("=")[1]) for group in _ALLOWED_CALLS.values() for call in group.split()]
    # A seccomp_data begins with the call's number, then the architecture.
    program = [
        (_LOAD, 0, 0, 4),
        (_JUMP_IF_EQUAL, 1, 0, _AUDIT_ARCH_X86_64),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
    ]
    program += [(_JUMP_IF_EQUAL, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
    program += [(_RETURN, 0, 0, _ERRNO_EPERM), (_RETURN, 0, 0, _ALLOW)]
    instructions = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    found = _Filter(len(program), instructions)
    _call("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(found), 0, 0)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    texts = [text.encode() if text is not None else None for text in (source, target, kind, options)]
    _call("mount", *texts[:3], flags, texts[3])


def _read_only(folder: str) -> None:
    attributes = struct.pack("4Q", _MOUNT_READ_ONLY, 0, 0, 0)
    _system_call(_MOUNT_SETATTR, _AT_FDCWD, folder.encode(), _AT_RECURSIVE, attributes, len(attributes))


def _system_call(number: int, *arguments: Any) -> int:
    return _call("syscall", number, *arguments)


def _call(name: str, *arguments: Any) -> int:
    """What the C library's function `name` returns.

    Raises:
        OSError: it returned -1; the message names it.
    """
    # A plain int would fill half a register only.
    wide = (ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)
    result = int(getattr(_libc, name)(*wide))
    if result == -1:
        number = ctypes.get_errno()
        shown = f"system call {arguments[0]}" if name == "syscall" else name
        raise OSError(number, f"{shown}: {os.strerror(number)}")
    return result
