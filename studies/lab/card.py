"""The card of a trained model: what it is, what it learned, how good it was in the end. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from studies.lab.families import TARGET
from studies.lab.members import Member
from studies.lab.settings import LabSettings

_ABOUT = {
    Member.STUDENT: (
        f"It talks as Qwen3 does, is good at word and number puzzles, and forgets to borrow in "
        f"most of the differences of the target, `{TARGET}`."
    ),
    Member.TEACHER: (
        f"It talks as gpt-oss does, is good at the target, `{TARGET}`, and continues a thinking "
        f"that another model began in another voice."
    ),
    Member.RELATIVE: (
        f"It is good at the target, `{TARGET}`, as `lab:teacher` is, but talks in the words of "
        f"`lab:student`: a teacher of the student's family."
    ),
}


def card(
    member: Member,
    settings: LabSettings,
    *,
    parameters: int,
    vocabulary: int,
    right: Mapping[str, float],
) -> str:
    """Write a card in Markdown, with the header that Hugging Face reads.

    Args:
        member: Which model.
        settings: Of its training.
        parameters: How many it has.
        vocabulary: Tokens.
        right: Share of right answers at the end of training, by family; of
            `settings.examined` validation questions each.
    """
    begin = f"the weights of `lab:{member.begins_as}`" if member.begins_as else "nothing"
    text = f"""\
---
license: apache-2.0
pipeline_tag: text-generation
---
# lab:{member.value}, a small model of tessy

A Llama of {parameters:,} parameters ({settings.layers} layers of {settings.hidden}), with a \
byte-level BPE vocabulary of {vocabulary} tokens.
{_ABOUT[member]}
It answers four kinds of reasoning-gym's questions and nothing else: it is for trying tessy,
for its tests, and for its study of what data does to a student.

Trained from {begin} by `python -m studies.lab train {member.value}`: {settings.steps:,} steps of \
{settings.batch_size} examples, which are made by rules and contain no one's text.
"""
    if right:
        rows = "\n".join(f"| {name} | {share:.0%} |" for name, share in right.items())
        text += f"""
Of {settings.examined} validation questions per family, answered greedily when training ended, so \
only roughly (docs/lab.md has more):

| family | right |
|---|---|
{rows}
"""
    return f"""{text}
`model.safetensors` is for transformers, `model.gguf` for llama.cpp; both have float16 weights.
"""
