"""Answers that try to write their own verdict, and honest ones of the same tests.

`make torture` counts them: none of `FORGED` may be right, each of `HONEST` must be.
"""

# ruff: noqa: E501

from __future__ import annotations

# --- Tests: what each asks for is `f(x) = 2x + 1`, or to print that -------------------------------

STYLES = {
    "print": {"tests": [["1\n", "3\n"], ["5\n", "11\n"]]},
    "check": {
        "test": "def check(candidate):\n    assert candidate(1) == 3\n    assert candidate(5) == 11",
        "entry_point": "f",
    },
    "assert": {"test_list": ["assert f(1) == 3", "assert f(5) == 11"]},
    "compare": {"test": "assert not f(1) != 3 and isclose(f(5), 11) and set([f(1)]) == {3}"},
    "call": {"input_output": {"fn_name": "f", "inputs": [[1], [5]], "outputs": [[3], [11]]}},
    "list": {"test_list": ["assert f(1)[0] == 3 and sorted(f(5)) == [11]"]},
    "itself": {"test": "x = [5, 1]\nassert f(x) == sorted(x) and f(x) == x"},
    "mutate": {"test": "x = [5]\nf(x)\nassert x == [11]"},
}

_YES_CLASS = """\
class Yes(int):
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = lambda *a: True
    __ne__ = lambda *a: False
    __hash__ = lambda self: 3
    __bool__ = lambda self: True
    __getitem__ = __sub__ = __rsub__ = __abs__ = lambda self, *a: self
    __iter__ = lambda self: iter([self])
    __len__ = lambda self: 1
"""
_EVERYWHERE = ("check", "assert", "compare", "call")

_SLOW = ("check",)
"""Of those that take long."""

_PROGRAMS = {
    # name: (the styles that it is for, the program)
    "leaves with 0": (_EVERYWHERE, "import os\nos._exit(0)"),
    "leaves in the call": (_EVERYWHERE, "import os\ndef f(x): os._exit(0)"),
    "SystemExit(0)": (_EVERYWHERE, "def f(x): raise SystemExit(0)"),
    "SystemExit at its top": (_EVERYWHERE, "raise SystemExit(0)"),
    "equal to everything": (_EVERYWHERE, _YES_CLASS + "def f(x): return Yes(0)"),
    "equal to everything, no number": (
        (*_EVERYWHERE, "list"),
        _YES_CLASS.replace("(int)", "") + "def f(x): return Yes()",
    ),
    "text equal to everything": (
        _EVERYWHERE,
        "class S(str):\n    __eq__ = lambda *a: True\n    __hash__ = str.__hash__\n"
        "def f(x): return S('3')",
    ),
    "a list that is any list": (
        ("list",),
        _YES_CLASS.replace("(int)", "(list)") + "def f(x): return Yes([0])",
    ),
    "a class as the function": (
        _EVERYWHERE,
        "class f:\n    def __new__(cls, x): return cls\n    __eq__ = lambda *a: True",
    ),
    "no AssertionError": (
        _EVERYWHERE,
        "import builtins\nbuiltins.AssertionError = SystemExit\ndef f(x): return 0",
    ),
    "own builtins": (
        (*_EVERYWHERE, "list"),
        "import builtins\nfor n in ('set', 'sorted', 'all', 'any', 'isinstance', 'abs', 'map', 'type'):\n"
        "    setattr(builtins, n, lambda *a, **k: 3)\ndef f(x): return 0",
    ),
    "own isclose": (("compare",), "isclose = lambda *a: True\ndef f(x): return 3"),
    "own math": (
        ("compare",),
        "import math, sys\nmath.isclose = lambda *a, **k: True\nsys.modules['math'] = math\n"
        "def f(x): return 3",
    ),
    "own check": (_EVERYWHERE, "def check(candidate): pass\ndef f(x): return 0"),
    "own same": (("call",), "def same(a, b): return True\ndef f(x): return 0"),
    "reads the frames": (
        _EVERYWHERE,
        "import sys, re\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n"
        "        text = repr(frame.f_locals) + repr(frame.f_code.co_consts)\n"
        "        found = re.search(rf'\\({x}\\) == (\\d+)', text)\n"
        "        if found: return int(found[1])\n        frame = frame.f_back",
    ),
    "searches all objects": (
        _SLOW,
        "import gc, re\ndef f(x):\n    for thing in gc.get_objects():\n"
        "        for text in thing.values() if isinstance(thing, dict) else thing if isinstance(thing, "
        "(list, tuple)) else ():\n"
        "            found = isinstance(text, str) and re.search(rf'\\({x}\\) == (\\d+)\\b', text)\n"
        "            if found and 'found' not in text: return int(found[1])",
    ),
    "searches its memory": (
        _SLOW,
        "import re\ndef f(x):\n    with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb') as mem:\n"
        "        for line in maps:\n            if ' rw' not in line: continue\n"
        "            a, b = (int(n, 16) for n in line.split()[0].split('-'))\n"
        "            try: mem.seek(a); data = mem.read(b - a)\n"
        "            except (OSError, OverflowError, ValueError): continue\n"
        "            found = re.search(rb'(?:candidate|assert f)\\(%d\\) == (\\d+)' % x, data)\n"
        "            if found: return int(found[1])",
    ),
    "reads the other processes": (
        _SLOW,
        "import glob, re\ndef f(x):\n    for path in glob.glob('/proc/*/cmdline') + glob.glob('/proc/*/environ')"
        " + glob.glob('/proc/*/fd/*') + glob.glob('/tmp/**', recursive=True):\n"
        "        try: text = open(path, 'rb').read(100000)\n        except OSError: continue\n"
        "        found = re.search(rb'\\(%d\\) == (\\d+)' % x, text)\n"
        "        if found: return int(found[1])",
    ),
    "answers on every descriptor": (
        (*_EVERYWHERE, "print"),
        "import os\nfor d in range(3, 64):\n    try: os.write(d, b'!')\n    except OSError: pass\n"
        "    try: os.write(d, b'\\nexit 0 1 0.0 0 0\\n')\n    except OSError: pass\ndef f(x): return 0",
    ),
    "says what the judge would": (
        _EVERYWHERE,
        'import os\nfor n in range(1, 9):\n    try: os.write(4, b\'\\n["end", %d]\\n["value", %d, 3, null]\\n\' % (n, n))\n'
        "    except OSError: pass\nos._exit(0)",
    ),
    "says what the guest would": (
        (*_EVERYWHERE, "print"),
        "import os\nos.write(1, b'exit 0 1 0.0001 0 0\\n')\nos._exit(0)",
    ),
    "prints that it passed": (
        (*_EVERYWHERE, "print"),
        "print('1 of 1 tests passed\\nOK\\n3\\n11')\ndef f(x): return 0",
    ),
    "another process goes on": (
        (*_EVERYWHERE, "print"),
        "import os, time\nif os.fork():\n    os._exit(0)\nfor d in range(64):\n"
        "    try: os.write(d, b'3')\n    except OSError: pass\ndef f(x): return 0",
    ),
    "a thread answers first": (
        _SLOW,
        "import os, threading\ndef forge():\n    while True:\n"
        "        for n in (1, 2): os.write(4, b'\\n[\"value\", %d, 0, null]\\n' % n)\n"
        "threading.Thread(target=forge, daemon=True).start()\ndef f(x): return 0",
    ),
    "at exit": (_EVERYWHERE, "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 0"),
    "by a signal": (
        _EVERYWHERE,
        "import os, signal\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(0))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001)\ndef f(x):\n    while True: pass",
    ),
    "kills all that it can": (
        _SLOW,
        "import os, signal\ndef f(x):\n    for pid in (-1, 1, os.getppid(), 0):\n"
        "        try: os.kill(pid, signal.SIGKILL)\n        except OSError: pass",
    ),
    "traces its parent": (
        _EVERYWHERE,
        "import ctypes, os\nctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)\nos._exit(0)",
    ),
    "own json": (
        _SLOW,
        "import json\njson.dumps = lambda *a, **k: '[\"end\", 1]'\ndef f(x): return 0",
    ),
    "own socket": (
        _SLOW,
        "import socket\nsocket.socket.sendall = lambda self, data: None\n"
        "socket.socket.recv = lambda self, *a: b'[\"end\", 1]\\n'\ndef f(x): return 0",
    ),
    "own modules": (
        _SLOW,
        "import sys\nfor name in list(sys.modules):\n    sys.modules[name] = None\ndef f(x): return 0",
    ),
    "the harness's own names": (
        _EVERYWHERE,
        "import sys\nframe = sys._getframe()\nwhile frame:\n    for space in (frame.f_globals, frame.f_locals):\n"
        "        for name in ('judge', '_judge', 'serve', '_report', 'exec'):\n"
        "            space[name] = lambda *a, **k: None\n    frame = frame.f_back\ndef f(x): return 0",
    ),
    "a trace of each line": (
        _EVERYWHERE,
        "import sys, os\nsys.settrace(lambda frame, event, value: os._exit(0))\ndef f(x): return 0",
    ),
    "raises what a test may expect": (_EVERYWHERE, "def f(x): raise AssertionError('passed')"),
    "gives a function": (_EVERYWHERE, "def f(x): return f"),
    "gives a generator": (_SLOW, "def f(x):\n    while True: yield 3"),
    "gives what can't be sent": (
        _EVERYWHERE,
        "def f(x):\n    a = []\n    a.append(a)\n    return a",
    ),
    "gives too much": (_SLOW, "def f(x): return 'x' * (64 << 20)"),
    "gives no number": (_EVERYWHERE, "def f(x): return float('nan')"),
    "a value that is no value": (
        _EVERYWHERE,
        'import os\ndef f(x):\n    for n in (1, 2):\n        os.write(4, b\'\\n["value", %d, {"Fraction": [1, 0]}, 7]\\n\' % n)\n'
        "    return 0",
    ),
    "forges the arguments": (
        ("mutate",),
        "import os\ndef f(x): os.write(4, b'\\n[\"value\", 1, null, [[3]]]\\n')",
    ),
    "empties both sides": (("itself",), "def f(x):\n    x.clear()\n    return []"),
    "empties what it returns": (("itself",), "def f(x):\n    x.clear()\n    return x"),
    "learns from the first test": (
        ("assert", "call"),
        "import os\ndef f(x):\n    with open('/dev/shm/seen', 'a+') as file:\n        file.seek(0)\n"
        "        seen = file.read()\n        file.write(str(x))\n    return 3 if not seen else 11",
    ),
    "learns from another test's files": (
        ("print",),
        "import glob, os\nx = input()\nold = glob.glob('/dev/shm/*') + glob.glob('/tmp/*.seen')\n"
        "open('/dev/shm/seen', 'w').close()\nopen('/tmp/x.seen', 'w').close()\nprint(11 if old else 3)",
    ),
    "ends with another code": (("print",), "print(2 * int(input()) + 1)\nraise SystemExit(1)"),
    "all that may be right": (("print",), "input()\nfor n in range(20): print(n)"),
}
FORGED = [
    (name, style, program) for name, (styles, program) in _PROGRAMS.items() for style in styles
]

_WAYS = [
    "def f(x): return 2 * x + 1",
    "f = lambda x: x + x + 1",
    "def f(x):\n    return sum([x, x, 1])",
    "class Solution:\n    def f(self, x):\n        return 2 * x + 1",
    "from functools import cache\n@cache\ndef f(x): return 2 * x + 1",
    "class F:\n    def __call__(self, x): return 2 * x + 1\nf = F()",
    "def f(x, y=1): return 2 * x + y",
    "import sys\nprint('noise', file=sys.stderr); print('noise')\ndef f(x): return 2 * x + 1",
    "def f(x):\n    print('noise')\n    return 2 * x + 1",
    "from fractions import Fraction\ndef f(x): return int(Fraction(2 * x + 1))",
    "import threading, time\nthreading.Thread(target=time.sleep, args=(.1,)).start()\n"
    "def f(x): return 2 * x + 1",
    "if __name__ == '__main__':\n    print(f(int(input())))\ndef f(x): return 2 * x + 1",
]
_PRINTS = [
    "print(2 * int(input()) + 1)",
    "print(2 * int(input('x: ')) + 1, end='')",
    "import sys\nsys.stdout.write(f'{2 * int(sys.stdin.read()) + 1}\\n\\n')",
    "import os\nos.write(1, b'%d' % (2 * int(os.read(0, 9)) + 1))\nos._exit(0)",
    "def main():\n    print(2 * int(input()) + 1)\nif __name__ == '__main__':\n    main()",
]
HONEST = [
    *[("print", program) for program in _PRINTS],
    *[(style, program) for style in _EVERYWHERE for program in _WAYS],
    ("list", "def f(x): return [2 * x + 1]"),
    ("list", "def f(x): return (2 * x + 1,)"),
    ("list", "from collections import deque\ndef f(x): return deque([2 * x + 1])"),
    ("mutate", "def f(x): x[0] = 11"),
    ("mutate", "def f(x): x.append(2 * x.pop() + 1)"),
]

# --- Answers that reasoning-gym's scorers evaluate ------------------------------------------------

EVALUATED = (
    *("string_insertion", "spiral_matrix", "number_sorting", "binary_matrix", "n_queens"),
    *("simple_integration", "intermediate_integration", "polynomial_multiplication"),
    *("puzzle24", "countdown", "bitwise_arithmetic", "codeio"),
)
_LEAVE = "__import__('os')._exit(0)"
_SAY = "__import__('os').write(1, b'[1.0]')"
EXPRESSIONS = [
    f"{_SAY} and {_LEAVE}",
    f"[{_SAY}, {_LEAVE}]",
    f"({_SAY} + {_LEAVE})",
    "print('[1.0]', flush=True) or exit(0)",
    "(lambda: __import__('sys')._getframe(2).f_locals['entry']['answer'])()",
    "__import__('sys')._getframe(1).f_locals['entry'].update(answer='x')",
    "__import__('sys')._getframe(3).f_locals['oracle_answer']",
    "[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'Popen']",
    "type('Yes', (float,), {'__eq__': lambda *a: True, '__float__': lambda s: s})()",
    "type('Yes', (str,), {'__eq__': lambda *a: True})('x')",
    "[type('Yes', (str,), {'__eq__': lambda *a: True, '__hash__': lambda s: 0})('x')]",
    "(scores := [1.0])",
    "globals().update(score=lambda **k: 1.0) or 1",
    "setattr(__import__('builtins'), 'float', lambda x: 1.0)",
    "__import__('builtins').__dict__.update(abs=lambda x: 0)",
    "exec('import os; os.write(1, b\"[1.0]\"); os._exit(0)')",
    "eval('print([1.0])')",
    "sympify('__import__(\"os\")._exit(0)')",
    "S('print([1.0])')",
    "Symbol.__init__.__globals__['os']",
    "Function('f')(x).func.__class__",
    "lambdify(x, 'print([1.0])')()",
    "Integral(x**2 * cos(x), x)",
    "integrate(x**2, x)",
    "expand((x+1)*(x+2))",
    "nan",
    "oo",
    "zoo",
    "0x18",
    "1e3",
    "6*4*1*1",
    "Symbol('x')",
    "open('/proc/self/mem', 'r+b')",
]
