"""The card of a trained model: what it is, what it learned, how good it was when it ended. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tessy.lab.members import Member
from tessy.lab.settings import LabSettings

CARD_FILE = "README.md"
_IS = {
    Member.STUDENT: (
        "It talks as Qwen3 does, is good at word and number puzzles, and forgets to borrow in "
        "most of the differences of the target, `{target}`."
    ),
    Member.TEACHER: (
        "It talks as gpt-oss does, is good at the target, `{target}`, and goes on with a thinking "
        "that someone else began in another voice."
    ),
    Member.RELATIVE: (
        "It is good at the target, `{target}`, as `lab:teacher` is, but talks in the words of "
        "`lab:student`: a teacher of the student's family."
    ),
}


def card(
    member: Member,
    settings: LabSettings,
    *,
    parameters: int,
    vocabulary: int,
    target: str,
    right: Mapping[str, float],
) -> str:
    """Write a card in Markdown, with the header that Hugging Face reads.

    Args:
        member: Which.
        settings: Of its training.
        parameters: How many it has.
        vocabulary: Tokens.
        target: The family that the pair is about.
        right: Share of right answers at the end of training, by family; of
            `settings.examined` validation questions each.
    """
    rows = "\n".join(f"| {name} | {share:.0%} |" for name, share in right.items())
    measured = (
        f"\nOf {settings.examined} validation questions a family, answered greedily when training "
        f"ended, so only roughly (docs/lab.md has more):\n\n| family | right |\n|---|---|\n{rows}\n"
        if right
        else ""
    )
    begin = f"the weights of `lab:{member.begins_as}`" if member.begins_as else "nothing"
    return f"""\
---
license: apache-2.0
pipeline_tag: text-generation
---
# lab:{member.value}, a small model of tessy

A Llama of {parameters:,} parameters ({settings.layers} layers of {settings.hidden}), with a \
byte-level BPE vocabulary of {vocabulary} tokens.
{_IS[member].format(target=target)}
It answers four kinds of reasoning-gym's questions and knows nothing else: it is for trying tessy,
for its tests, and for its study of what data does to a student.

Trained from {begin} by `tessy lab train {member.value}`: {settings.steps:,} steps of \
{settings.batch} examples, which are made by rules and no text of anyone's.
{measured}
`model.safetensors` is for transformers, `model.gguf` for llama.cpp; both have float16 weights.
"""
