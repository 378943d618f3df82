"""A filter of system calls for the sandbox: a BPF program, for `bwrap --seccomp`. Pure; no I/O.

What is refused (`EPERM`) is of no use to an answer's program, and is either memory that no other
limit counts (`memfd_create`, System V shared memory, shared memory without a file, larger buffers
of sockets and pipes), a socket that is not a Unix one (some families reach past a network
namespace, as `AF_VSOCK` does), a look into other processes (`ptrace` and
its kin), or a part of the kernel that has let programs out before (mounts, namespaces, `bpf`,
`io_uring`, keys, performance events). The format is that of `linux/filter.h` and
`linux/seccomp.h`; the numbers are those of `asm/unistd_64.h` and `asm-generic/unistd.h`.
"""

from __future__ import annotations

import struct

_REFUSED = {
    # name: (x86_64, the generic table of aarch64 and riscv64)
    # memory that no other limit counts
    "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190),
    "mq_open": (240, 180), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "vmsplice": (278, 75),
    # a look into other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "kcmp": (312, 272), "pidfd_getfd": (438, 438),
    "userfaultfd": (323, 282),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "move_mount": (429, 429), "open_tree": (428, 428),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # parts of the kernel that have let programs out, or that no program needs
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "bpf": (321, 280),
    "perf_event_open": (298, 241), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "fanotify_init": (300, 262), "syslog": (103, 116),
    "acct": (163, 89), "quotactl": (179, 60), "swapon": (167, 224), "init_module": (175, 105),
    "finit_module": (313, 273), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "open_by_handle_at": (304, 265), "io_setup": (206, 0),
}  # fmt: skip
_REFUSED_IF = {
    # name: (the numbers, which argument, the bits that count, values, refused if it is one of them)
    "socket": ((41, 198), 0, 0xFFFFFFFF, (1,), False),  # AF_UNIX
    "socketpair": ((53, 199), 0, 0xFFFFFFFF, (1,), False),
    # SO_SNDBUF, SO_RCVBUF, SO_SNDBUFFORCE, SO_RCVBUFFORCE
    "setsockopt": ((54, 208), 2, 0xFFFFFFFF, (7, 8, 32, 33), True),
    "fcntl": ((72, 25), 1, 0xFFFFFFFF, (1031,), True),  # F_SETPIPE_SZ
    "mmap": ((9, 222), 3, 0x2F, (0x21,), True),  # MAP_SHARED | MAP_ANONYMOUS
}
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1), "riscv64": (0xC00000F3, 1)}
"""The kernel's name of each machine (`AUDIT_ARCH_…`), and which numbers it has."""
_LOAD, _EQUAL, _AT_LEAST, _RETURN, _AND = 0x20, 0x15, 0x35, 0x06, 0x54
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000
_X32 = 0x40000000


def filter_for(machine: str) -> bytes | None:
    """The filter for a machine; None if its numbers are not known here.

    Args:
        machine: As `platform.machine()` names it.
    """
    if machine not in _MACHINES:
        return None
    audit, column = _MACHINES[machine]
    numbers = sorted(numbers[column] for numbers in _REFUSED.values())
    steps = [
        _step(_LOAD, _MACHINE_AT),
        _step(_EQUAL, audit, 1, 0),
        _step(_RETURN, _KILL),  # a 32-bit call: its numbers mean something else
        _step(_LOAD, _NUMBER_AT),
        _step(_AT_LEAST, _X32, 0, 1),
        _step(_RETURN, _KILL),
    ]
    for numbers_of, argument, bits, values, if_one in _REFUSED_IF.values():
        steps += _condition(numbers_of[column], argument, bits, values, if_one)
    for index, number in enumerate(numbers):
        steps.append(_step(_EQUAL, number, len(numbers) - index, 0))
    steps += [_step(_RETURN, _ALLOW), _step(_RETURN, _REFUSE)]
    return b"".join(steps)


def _condition(
    number: int, argument: int, bits: int, values: tuple[int, ...], if_one: bool
) -> list[bytes]:
    """Steps that settle a call with that number by an argument, and pass over others."""
    among, other = (_REFUSE, _ALLOW) if if_one else (_ALLOW, _REFUSE)
    tests = [_step(_EQUAL, value, len(values) - n, 0) for n, value in enumerate(values)]
    settled = [
        _step(
            _LOAD, _ARGUMENTS_AT + 8 * argument
        ),  # its lower half: all machines are little-endian
        _step(_AND, bits),
        *tests,
        _step(_RETURN, other),
        _step(_RETURN, among),
    ]
    return [_step(_EQUAL, number, 0, len(settled)), *settled]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One `struct sock_filter`."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
