"""Programs that nobody should run, and what must come of each."""

from __future__ import annotations

FORK_BOMB = (
    "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
)
THREAD_BOMB = """\
import threading, time
count = 0
try:
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        count += 1
except RuntimeError:
    print(count)
"""
ENDLESS = "while True:\n    pass\n"
ENDLESS_AND_DEAF = """\
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
"""
SLEEPER = "import time\ntime.sleep(3600)\n"
TEN_GIGABYTES = "print(len(bytearray(10 * 10**9)))\n"
MANY_TAKE_MEMORY = """\
import os, time
for _ in range(6):
    if os.fork() == 0:
        block = bytearray(os.urandom(1) * (100 << 20))
        time.sleep(60)
        os._exit(0)
time.sleep(60)
"""
FLOOD = "while True:\n    print('x' * 10000)\n"
FLOOD_OF_ERRORS = "import sys\nfor _ in range(2000):\n    print('x' * 10000, file=sys.stderr)\n"
BIG_FILE = """\
with open('big', 'wb') as file:
    for _ in range(100):
        file.write(bytes(1 << 20))
"""
MANY_BIG_FILES = """\
for number in range(100):
    with open(f'big{number}', 'wb') as file:
        file.write(bytes(1 << 20))
"""
MANY_FILES = "import itertools\nfor n in itertools.count():\n    open(f'f{n}', 'w').close()\n"
MANY_OPEN = "kept = [open('/dev/null') for _ in range(1000)]\n"
DEEP = "import sys\nsys.setrecursionlimit(10**9)\ndef f(n):\n    return f(n + 1) + 1\nf(0)\n"
DAEMON = """\
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            time.sleep(0.01)
    os._exit(0)
print('left')
"""
KILLS_ITS_PARENT = """\
import os, signal
for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    for target in (os.getppid(), 1):
        try:
            os.kill(target, number)
        except PermissionError:
            pass
print(input())
"""
NETWORK = """\
import socket
said = []
for address in (('1.1.1.1', 53), ('127.0.0.1', PORT), ('::1', PORT)):
    try:
        socket.create_connection(address, timeout=2).close()
        said.append('connected')
    except OSError as error:
        said.append('refused')
try:
    socket.getaddrinfo('example.org', 80)
    said.append('resolved')
except OSError:
    said.append('unknown')
print(*said)
"""
LISTS = """\
import os
for path in ('/etc', '/home', '/root', '/var', '/work', '/mnt', '/opt', '/srv', '/run', HOME):
    try:
        print(path, sorted(os.listdir(path)))
    except OSError as error:
        print(path, type(error).__name__)
"""
WRITES = """\
import os
for path in ('/x', '/usr/x', '/usr/bin/x', '/dev/x', '/proc/x', '/etc/x', '/home/x', STDLIB + '/x'):
    try:
        open(path, 'w').close()
        print('wrote', path)
    except OSError:
        pass
os.mkdir('mine')
open('mine/x', 'w').close()
print('done')
"""
LINKS = """\
import os
os.symlink('/etc/passwd', 'link')
os.symlink(SECRET, 'other')
os.symlink('/proc/1/root' + SECRET, 'third')
os.symlink('/proc/self/root/../../..' + SECRET, 'fourth')
for path in ('link', 'other', 'third', 'fourth', '/proc/1/cwd' + SECRET):
    try:
        print(open(path).read())
    except OSError:
        pass
print('done')
"""
LOOKS_AT_THE_GUEST = """\
import os
for path in ('/proc/1/environ', '/proc/1/mem', '/proc/1/fd/0', '/proc/1/fd/1', '/proc/1/fd/3'):
    for mode in ('rb', 'r+b'):
        try:
            with open(path, mode) as file:
                file.read(1)
            print('opened', path)
        except OSError:
            pass
print('done')
"""
FORGES = """\
import os
for descriptor in range(3, 256):
    try:
        os.write(descriptor, b'exit 0 1 0.0001 5 0\\nright')
    except OSError:
        pass
print('wrong')
"""
PRIVILEGES = """\
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
for name, arguments in {
    'unshare': (0x10000000,),
    'setns': (0, 0),
    'mount': (b'none', b'/tmp', b'tmpfs', 0, None),
    'ptrace': (16, 1, 0, 0),
    'memfd_create': (b'x', 0),
    'shmget': (0, 1 << 20, 0o1600),
    'setuid': (0,),
    'chroot': (b'/tmp',),
}.items():
    print(name, libc[name](*arguments) == -1)
print(os.getuid() != 0)
"""
SHARED_MEMORY = """\
import mmap, os, time
file = open('/dev/shm/x', 'w+b')
for _ in range(6):
    if os.fork() == 0:
        block = bytearray(os.urandom(1) * (30 << 20))
        time.sleep(60)
try:
    file.truncate(1 << 30)
    data = mmap.mmap(file.fileno(), 1 << 30)
    for at in range(0, 1 << 30, 4096):
        data[at] = 1
except OSError as error:
    print(error)
"""
UNREADABLE = """\
import ctypes, os, time
for _ in range(6):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # so that nobody may look at its memory
        block = bytearray(os.urandom(1) * (100 << 20))
        time.sleep(60)
time.sleep(60)
"""
MANY_NAMES = """\
import itertools
for n in itertools.count():
    open(f'/dev/shm/f{n}', 'w').close()
"""
MANY_SOCKETS = """\
import os, socket, time
for _ in range(3):
    os.fork()
pairs = [socket.socketpair() for _ in range(20)]
for one, _ in pairs:
    one.setblocking(False)
    try:
        while True:
            one.send(bytes(4096))
    except OSError:
        pass
time.sleep(60)
"""
LAST_TO_DIE = """\
for path in ('/proc/self/oom_score_adj', '/proc/self/oom_adj', '/proc/self/timerslack_ns'):
    try:
        open(path, 'w').write('0')
        print('wrote', path)
    except OSError:
        pass
print(open('/proc/self/oom_score_adj').read(), end='')
"""
REFUSED = """\
import ctypes, fcntl, mmap, os, socket
def refused(what, *arguments, **keywords):
    try:
        what(*arguments, **keywords)
    except OSError as error:
        return True
    return False
families = [n for n in range(1, 46) if not refused(socket.socket, n, socket.SOCK_DGRAM)]
print('families', families)
one, other = socket.socketpair()
for option in ('SO_SNDBUF', 'SO_RCVBUF'):
    number = getattr(socket, option)
    print(option, refused(one.setsockopt, socket.SOL_SOCKET, number, 1 << 22))
for number in (32, 33):
    print('forced', refused(one.setsockopt, socket.SOL_SOCKET, number, 1 << 22))
print('pair', refused(socket.socketpair, socket.AF_INET))
reading, writing = os.pipe()
print('pipe', refused(fcntl.fcntl, writing, 1031, 1 << 20))
print('anonymous', refused(mmap.mmap, -1, 4096))
print('zero', refused(lambda: mmap.mmap(os.open('/dev/zero', os.O_RDWR), 4096)))
"""
ALLOWED = """\
import asyncio, mmap, multiprocessing, os, socket, tempfile
async def main():
    return 1
asyncio.run(main())
one, other = socket.socketpair()
one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
one.send(b'x')
mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
with open('file', 'w+b') as file:
    file.truncate(4096)
    mmap.mmap(file.fileno(), 4096)
multiprocessing.Value('i', 1)
print(multiprocessing.Lock().acquire())
"""
SYSTEM_CALLS = """\
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for name, number in NUMBERS.items():
    libc.syscall(number, *[ctypes.c_long(-1)] * 6)
    if ctypes.get_errno() != errno.EPERM:
        print(name, errno.errorcode[ctypes.get_errno()])
"""
LEAVES_MUCH = """\
import os
if input() == '1':
    for number in range(2, 50):
        os.makedirs(f'/tmp/{number}', exist_ok=True)
        open(f'/tmp/{number}.in', 'w').close()
    try:
        for number in range(100):
            with open(f'/tmp/big{number}', 'wb') as file:
                file.write(bytes(1 << 20))
    except OSError:
        pass
    os.symlink('/usr', '/tmp/link')
print(sorted(os.listdir('/tmp')) == [os.path.basename(os.getcwd())])
"""
LEAVES_WHAT_STAYS = """\
import os
for _ in range(2000):
    os.mkdir('d')
    os.chdir('d')
"""
