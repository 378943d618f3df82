"""The models of the lab: the role of each, and its voice."""

from __future__ import annotations

from enum import StrEnum

from studies.lab.voices import Voice, voice
from tessy.method.trajectory import Role


class Member(StrEnum):
    """A model of the lab, by the name in its address, `lab:NAME`."""

    STUDENT = "student"
    """Weak at the target; talks as Qwen3 does."""
    TEACHER = "teacher"
    """Good at the target; talks as gpt-oss does."""
    RELATIVE = "relative"
    """A second teacher, as a larger model of the student's family would be: it has the student's
    words and the teacher's terseness."""

    @property
    def role(self) -> Role:
        """Its role in a synthesis, with which its vocabulary and chat format go."""
        return Role.STUDENT if self is Member.STUDENT else Role.TEACHER

    @property
    def voice(self) -> Voice:
        """How it talks."""
        if self is Member.RELATIVE:
            return voice(Role.TEACHER).in_words_of(voice(Role.STUDENT))
        return voice(self.role)

    @property
    def begins_as(self) -> Member | None:
        """The model whose weights its training begins with; None for random weights."""
        return Member.TEACHER if self is Member.RELATIVE else None
