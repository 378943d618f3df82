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
