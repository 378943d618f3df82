"""Templates that are broken or hostile; name → source and what the refusal says.

All are refused for a single question, before any work, in a second or so.
"""

from __future__ import annotations

_BOTH = "{{ messages[0].content }}"

HOSTILE: dict[str, tuple[str, str]] = {
    # The question is not in the prompt as it is.
    "drops it": ("hello<|im_start|>assistant\n", "leaves out message 1"),
    "empties it": ("{{ messages[0].content[:0] }}", "leaves out message 1"),
    "drops it in a loop": (
        "{% for m in messages %}{{ m.text }}{{ m['contents'] }}{% endfor %}",
        "leaves out message 1",
    ),
    "wrong role": (
        "{% for m in messages if m.role == 'human' %}{{ m.content }}{% endfor %}",
        "leaves out message 1",
    ),
    "cuts its begin": ("{{ messages[0].content[1:] }}", "leaves out a part of message 1"),
    "cuts its end": ("{{ messages[0].content|truncate(5, True, '') }}", "other than it is"),
    "quotes it": ("{{ messages[0].content|tojson }}", "other than it is"),
    "quotes all": ("{{ messages }}", "other than it is"),
    "quotes all as JSON": ("{{ messages|tojson }}", "other than it is"),
    "and quotes all": (_BOTH + "{{ messages }}", "other than it is"),
    "and joins all": (_BOTH + "{{ 'a' ~ messages }}", "other than it is"),
    "formats it": ("{{ 'Q: {}'.format(messages[0].content) }}", "other than it is"),
    "formats with it": ("{{ 'Q: %s' % messages[0].content }}", "other than it is"),
    "upper case": ("{{ messages[0].content|upper }}", "other than it is"),
    "title": ("{{ messages[0].content.title() }}", "other than it is"),
    "escapes": ("{{ (messages[0].content ~ '<')|e }}", "other than it is"),
    "wraps": ("{{ messages[0].content|wordwrap(3) }}", "other than it is"),
    "joins": (
        _BOTH + "{{ messages|map(attribute='content')|join }}",
        "other than it is",
    ),
    "joins with": (_BOTH + "{{ messages|map(attribute='content')|join('x') }}", "twice"),
    "as a key": (_BOTH + "{{ {messages[0].content: 1}|tojson }}", "other than it is"),
    "twice": (_BOTH + _BOTH, "twice"),
    "backwards": ("{{ messages[0].content|reverse }}", "out of order"),
    "replaces": ("{{ messages[0].content|replace('2', '<|im_end|>') }}", "leaves out a part"),
    "prints a namespace": (
        _BOTH + "{% set ns = namespace(x=messages[0].content) %}{{ ns }}",
        "prints a",
    ),
    "closes the thinking": (_BOTH + "<think>\n\n</think>\n\n", "closes the thinking"),
    # It never ends, or fills the memory.
    "loops": (
        "{% set r = range(99999) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}",
        "does too much",
    ),
    "loops on a condition": (
        "{% set r = range(99999) %}{% for a in r %}"
        "{% for b in r if false %}{% endfor %}{% endfor %}",
        "does too much",
    ),
    "sums": ("{% for a in range(99999) %}{{ range(99999)|sum }}{% endfor %}", "does too much"),
    "lists": ("{% for a in range(99999) %}{% set x = range(99999)|list %}{% endfor %}", "too much"),
    "doubles a text": (
        "{% set n = namespace(s='x') %}{% for a in range(99) %}"
        "{% set n.s = n.s + n.s %}{% endfor %}",
        "does too much",
    ),
    "doubles a text with ~": (
        "{% set n = namespace(s='x') %}{% for a in range(99) %}"
        "{% set n.s = n.s ~ n.s %}{% endfor %}",
        "does too much",
    ),
    "doubles a list": (
        "{% set n = namespace(s=[1]) %}{% for a in range(99) %}"
        "{% set n.s = [n.s, n.s] %}{% endfor %}"
        "{{ n.s|tojson }}",
        "does too much",
    ),
    "multiplies": ("{{ 'a' * 10**9 }}", "too"),
    "powers": ("{{ 9**9**9 }}", "too large"),
    "squares": (
        "{% set n = namespace(s=9) %}{% for a in range(99) %}{% set n.s = n.s * n.s %}{% endfor %}",
        "too large",
    ),
    "wide %": ("{{ '%999999999d' % 1 }}", "too wide"),
    "wide % of a variable": ("{{ '%*d' % (999999999, 1) }}", "too large"),
    "wide format": ("{{ '{:>999999999}'.format(1) }}", "too wide"),
    "wide format of a variable": ("{{ '{:>{}}'.format(1, 999999999) }}", "too wide"),
    "wide filter": ("{{ '%999999999d'|format(1) }}", "too wide"),
    "wide date": ("{{ strftime_now('%999999999d') }}", "too wide"),
    "centres": ("{{ 'a'.center(999999999) }}", "too large"),
    "centres by filter": ("{{ 'a'|center(999999999) }}", "too large"),
    "calls itself": ("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "recursion"),
    "calls itself twice": (
        "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(50) }}",
        "does too much",
    ),
    "large range": ("{{ range(10**5 * 9)|list }}", "Range too big"),
    "long": ("x" * (1 << 20) + "xx", "characters"),
    "deep": ("{% if 1 %}" * 2000 + "{% endif %}" * 2000, "recursion"),
    "deep loops": ("{% for a in [1] %}" * 30 + "{% endfor %}" * 30, "nested"),
    # It reaches out, or is not the same each time.
    "classes": ("{{ messages.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
    "globals": ("{{ raise_exception.__globals__['x'] }}", "unsafe"),
    "format attributes": ("{{ '{0.__class__.__mro__}'.format(1) }}", "unsafe"),
    "origins": ("{{ messages[0].content._origins }}", "leaves out"),
    "changes messages": ("{{ messages.clear() }}", "unsafe"),
    "includes": ("{% include '/etc/passwd' %}", "no loader"),
    "random words": ("{{ lipsum() }}", "undefined"),
    "random choice": (_BOTH + "{{ [1, 2]|random }}", "No filter"),
    "autoescape": ("{% autoescape true %}" + _BOTH + "{% endautoescape %}", "autoescape"),
    # It is no template.
    "syntax": ("{% if %}", "line 1"),
    "unknown tag": ("{% generate %}", "unknown tag"),
}
"""Name → the template, and a part of the error."""

SYSTEM_DROPPED: dict[str, tuple[str, str]] = {
    "drops system": (
        "{% for m in messages if m.role != 'system' %}{{ m.content }}\n{% endfor %}",
        r"message 1 \(system\)",
    ),
    "drops turns": (
        "{% for m in messages if m.role != 'user' or m == messages[-1] %}"
        "{{ m.content }}\n{% endfor %}",
        r"message 2 \(user\)",
    ),
    "only the last": ("{{ messages[-1].content }}", "message 1"),
    "reorders": ("{% for m in messages[::-1] %}{{ m.content }}\n{% endfor %}", "out of order"),
    "system last": (
        "{% for m in messages[1:] %}{{ m.content }}\n{% endfor %}{{ messages[0].content }}",
        "out of order",
    ),
    "cuts an answer": (
        "{% for m in messages %}"
        "{{ m.content.split('4')[0] if m.role == 'assistant' else m.content }}\n{% endfor %}",
        r"message 3 \(assistant\)",
    ),
}
"""The same for a system message, two questions, and `It is 4.` between them."""
