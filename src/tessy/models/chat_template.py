"""Chat templates, rendered as transformers renders them.

A template is a stranger's program: it runs in Jinja's sandbox, its steps and output are bounded.
Not bounded: the memory of a single step, and the time of one search in, or comparison of, large
values.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from types import GeneratorType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from tessy.models.tracing import FOLLOWED, TracedText, changed, concatenate, is_traced

_LARGEST_TEMPLATE = 1 << 20
_LARGEST_NUMBER = 1 << 20
_LARGEST_POWER = 16
_CALL = 10
_SCANNED = 256
"""Characters that a function looks at in the time of a step."""
_SIZED = (str, list, tuple, dict, range)
_STEPS = 1_000_000
_STEPS_PER_CHARACTER = 200
_WIDTH = re.compile(r"%[^a-zA-Z%]*(?:\d{5}|\*)|\{[^{}]*:[^{}]*(?:\d{5}|\{)")
_SWITCH = re.compile(r"/\w+")
_THINKING_KEYS = frozenset({"reasoning_content", "thinking"})


class _Generation(Extension):
    """`{% generation %}`, with which templates mark what an assistant wrote."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(line)

    def _text(self, caller: Callable[[], str]) -> str:
        return caller()


class _Generator(CodeGenerator):
    """Compiles `a ~ b` so that it keeps origins."""

    def visit_Concat(self, node: nodes.Concat, frame: Any) -> None:
        self.write("environment.concat(map(environment.shown, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write(")))")


class _ChatEnvironment(ImmutableSandboxedEnvironment):
    """transformers' environment (`utils/chat_template_utils.py`), with origins and bounds."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=self.shown,
            extensions=["jinja2.ext.loopcontrols", _Generation],
        )
        self.left = 0
        self.filters["tojson"] = _to_json
        self.filters = {name: self._followed(one) for name, one in self.filters.items()}
        self.globals.update(raise_exception=_refuse, dict=_new_dict, namespace=_PlainNamespace)
        del self.globals["lipsum"], self.filters["random"]  # a prompt is the same each time

    def spend(self, steps: int = 1) -> bool:
        """Count steps; True, so that it can stand in a condition.

        Raises:
            TemplateError: There were too many.
        """
        self.left -= steps
        if self.left < 0:
            raise jinja2.TemplateError("it does too much: it may never end")
        return True

    def concat(self, texts: Iterable[str]) -> str:
        """See `concatenate`."""
        found = concatenate(texts)
        self.spend(len(found))
        return found

    def shown(self, value: Any) -> str:
        """A value as text.

        Raises:
            TemplateError: It has no text that is the same each time.
        """
        if isinstance(value, str):
            return value
        if value is None or isinstance(value, int | float | jinja2.Undefined):
            return str(value)
        if not isinstance(value, list | tuple | dict):
            raise jinja2.TemplateError(f"it prints a {type(value).__name__}")
        return str(changed(str(value)) if self._look_at((value,)) else value)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        if tree.find(nodes.EvalContextModifier):
            raise jinja2.TemplateSyntaxError("autoescape is no part of chat templates", 1)
        for loop in tree.find_all(nodes.For):
            step = nodes.Call(nodes.EnvironmentAttribute("spend"), [], [], None, None)
            loop.body.insert(0, nodes.ExprStmt(step).set_lineno(loop.lineno))
            if loop.test is not None:
                loop.test = nodes.And(step, loop.test)
        return tree

    def _followed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter whose steps count, and whose results keep origins."""

        @wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            return self._called(function, [_plain(one) for one in given], named)

        return call

    def _called(
        self, function: Callable[..., Any], given: Sequence[Any], named: Mapping[str, Any]
    ) -> Any:
        owner = getattr(function, "__self__", None)
        inputs = [*given, *named.values(), *([owner] if isinstance(owner, str) else [])]
        traced = self._look_at(inputs)
        if function.__name__ == "do_format" and _WIDTH.search(given[0]):
            raise jinja2.TemplateError("it formats a text that is too wide")
        found = function(*given, **named)
        if isinstance(found, _SIZED):
            self.spend(len(found))
        if not traced or (isinstance(owner, TracedText) and function.__name__ in FOLLOWED):
            return found
        same = (one for one in inputs if type(found) is str and is_traced(one) and one == found)
        return next(same, None) or changed(found)

    def _look_at(self, values: Iterable[Any]) -> bool:
        """Whether values hold text of messages; each thing in them is a step."""
        traced, left = False, list(values)
        while left:
            value = left.pop()
            traced |= is_traced(value)
            if isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
                raise jinja2.TemplateError("it computes with too large a number")
            size = len(value) if isinstance(value, _SIZED) else 0
            self.spend(1 + (size // _SCANNED if isinstance(value, str) else size))
            if isinstance(value, list | tuple | dict):
                left += [*value, *value.values()] if isinstance(value, dict) else value
        return traced

    def getattr(self, obj: Any, attribute: str) -> Any:
        obj = TracedText(obj) if type(obj) is str else obj
        formats = isinstance(obj, str) and attribute in ("format", "format_map")
        if formats and (is_traced(obj) or _WIDTH.search(obj)):
            raise jinja2.TemplateError(f"{attribute}: of a message's text, or too wide")
        return super().getattr(obj, attribute)

    def call(__self, __context: Any, __obj: Any, *given: Any, **named: Any) -> Any:
        self = __self
        if __obj == self.spend:
            return self.spend()
        self.spend(_CALL)
        if isinstance(__obj, jinja2.runtime.Macro):  # it is followed inside
            return super().call(__context, __obj, *given, **named)

        def call(*given: Any, **named: Any) -> Any:
            return super(_ChatEnvironment, self).call(__context, __obj, *given, **named)

        if (owner := getattr(__obj, "__self__", None)) is not None:
            call.__self__ = owner  # type: ignore[attr-defined]
            call.__name__ = getattr(__obj, "__name__", "")
        return self._called(call, given, named)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return self.concat((left, right))
        traced = self._look_at((left, right))
        if operator == "%" and isinstance(left, str) and _WIDTH.search(left):
            raise jinja2.TemplateError("it formats a text that is too wide")
        if operator == "**" and right > _LARGEST_POWER:
            raise jinja2.TemplateError("it computes with too large a number")
        if operator == "*" and (isinstance(left, _SIZED) or isinstance(right, _SIZED)):
            self.spend(_size(left) * _size(right))
        found = super().call_binop(context, operator, left, right)
        return changed(found) if traced and isinstance(found, str) else found


def _plain(value: Any) -> Any:
    """A filter's argument, in a form that can be looked at and followed."""
    if isinstance(value, GeneratorType):  # of `map`, `select`, …
        return list(value)
    return TracedText(value) if type(value) is str else value


def _size(value: Any) -> int:
    return len(value) if isinstance(value, _SIZED) else abs(int(value))


def _refuse(message: str) -> None:
    raise RefusedByTemplate(message)


def _new_dict(*given: Any, **named: Any) -> dict[Any, Any]:
    return dict(*given, **named)


class _PlainNamespace(Namespace):
    """A namespace whose names don't begin with an underscore, as in transformers."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"{name} is no name for a namespace")
        super().__setitem__(name, value)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Without HTML escapes, unlike Jinja's own."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


class RefusedByTemplate(jinja2.TemplateError):
    """The template itself refuses a conversation, with `raise_exception`."""


class ChatTemplate:
    """A compiled chat template.

    Attributes:
        takes_thinking: It asks messages for their `reasoning_content`, so what happens to that is
            its decision.
        switches: Words such as `/no_think` that it looks for in messages, and may take out.

    Args:
        source: The Jinja source.
        special: Special tokens for the template: `bos_token`, `eos_token`, …
        arguments: The template's own arguments, such as `enable_thinking`.
        date: What `strftime_now` shows.

    Raises:
        ValueError: It is no template, or too long.
    """

    def __init__(
        self,
        source: str,
        *,
        special: Mapping[str, str],
        arguments: Mapping[str, Any],
        date: datetime.date,
    ) -> None:
        if len(source) > _LARGEST_TEMPLATE:
            raise ValueError(f"it has {len(source):,} characters")
        self._environment = _ChatEnvironment()

        def now(pattern: str) -> str:
            if _WIDTH.search(pattern):
                raise jinja2.TemplateError("it formats a text that is too wide")
            return date.strftime(pattern)

        self._environment.globals["strftime_now"] = now
        self._values = {"tools": None, "documents": None, **special, **arguments}
        try:
            tree = self._environment.parse(source)
            self._template = self._environment.from_string(source)
        except Exception as error:  # also RecursionError, SyntaxError of Python, …
            raise ValueError(f"{_line(error)}{error}") from None
        asked = {node.attr for node in tree.find_all(nodes.Getattr)}
        named = {node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}
        self.takes_thinking = not _THINKING_KEYS.isdisjoint(asked | named)
        self.switches = frozenset(filter(_SWITCH.fullmatch, named))

    def render(self, messages: Iterable[Mapping[str, str]], *, prompt: bool) -> str:
        """Render messages, whose texts may be `TracedText`.

        Args:
            messages: `role` and `content`, and for the assistant's perhaps `reasoning_content`.
            prompt: Open the assistant's turn (`add_generation_prompt`).

        Raises:
            RefusedByTemplate: The template refuses them.
            ValueError: It fails, or does too much.
        """
        shown, size = [], 0
        for message in messages:
            size += sum(map(len, message.values()))
            # transformers gives the thinking under the name that gpt-oss reads, too.
            thinking = message.get("reasoning_content")
            shown.append(dict(message) if thinking is None else {"thinking": thinking, **message})
        self._environment.left = _STEPS + _STEPS_PER_CHARACTER * size
        try:
            return self._template.render(
                messages=shown, add_generation_prompt=prompt, **self._values
            )
        except RefusedByTemplate:
            raise
        except Exception as error:  # a template can raise anything
            raise ValueError(f"{type(error).__name__}: {error}") from None


def _line(error: Exception) -> str:
    line = getattr(error, "lineno", None)
    return f"line {line}: " if line else ""
