"""Which questions are rendered before a run, and what is said of those that can't be."""

import json
from types import SimpleNamespace

import pytest

from tessy.config import NamedTeacher, load
from tessy.data.questions import read
from tessy.errors import ConfigError
from tessy.method.trajectory import Role
from tessy.synthesis import conversations
from tessy.synthesis.conversations import check_conversations


def test_of_more_questions_than_are_rendered_some_are_drawn(tmp_path, monkeypatch):
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps({"prompt": str(n)}) + "\n" for n in range(100)))
    questions = read(path)
    rendered = []

    def check(*refused, skip_bad=False):
        def conversation(messages):
            rendered.append(int(messages[-1]["content"]))
            if rendered[-1] in refused:
                raise ConfigError("not shown")

        shown = SimpleNamespace(opening=lambda made: made)
        models = {Role.STUDENT: SimpleNamespace(conversation=conversation, format=shown)}
        rendered.clear()
        check_conversations(questions, questions.numbers(), models, load(), skip_bad=skip_bad)

    monkeypatch.setattr(conversations, "MOST", 10)
    check()
    one, other, *_ = chosen = list(rendered)
    assert len(set(chosen)) == 10
    check(*set(range(100)).difference(chosen))
    assert rendered == chosen
    check(one, other, skip_bad=True)
    with pytest.raises(ConfigError, match=f"question {one:06}, student: not shown"):
        check(one)
    with pytest.raises(ConfigError, match="2 of 10 prompts, drawn from 100, can't be made"):
        check(one, other)
    with pytest.raises(ConfigError, match="10 of 10 prompts"):
        check(*range(100), skip_bad=True)
    monkeypatch.setattr(conversations, "MOST", 100)
    with pytest.raises(ConfigError, match="question 000001, student: not shown"):
        check(1)


def test_a_question_is_rendered_for_the_teachers_that_may_write_it(tmp_path):
    path = tmp_path / "q.jsonl"
    rows = [{"prompt": "0", "from": "a"}, {"prompt": "1", "from": "b"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = read(path)

    def conversation(messages):
        if messages[-1]["content"] == "0":
            raise ConfigError("not shown")
        return messages

    shown = SimpleNamespace(opening=lambda made: made)
    fine = SimpleNamespace(conversation=lambda messages: messages, format=shown)
    strict = SimpleNamespace(conversation=conversation, format=shown)
    models = {Role.STUDENT: fine, NamedTeacher("a"): fine, NamedTeacher("b"): strict}
    teachers = {"teachers": {"a": {}, "b": {}}}
    numbers = questions.numbers()
    check_conversations(
        questions, numbers, models, load(None, {**teachers, "route": "from"}), skip_bad=False
    )
    with pytest.raises(ConfigError, match="question 000000, teacher b: not shown"):
        check_conversations(
            questions, numbers, models, load(None, {**teachers, "route": "vote"}), skip_bad=False
        )


def test_a_judge_is_shown_the_rubric_and_no_system_message_of_a_question(tmp_path):
    path = tmp_path / "q.jsonl"
    system = {"role": "system", "content": "Be brief."}
    path.write_text(json.dumps({"messages": [system, {"role": "user", "content": "Why?"}]}))
    questions, rendered = read(path), []
    shown = SimpleNamespace(opening=rendered.append)
    models = {Role.TEACHER: SimpleNamespace(conversation=lambda m: m, format=shown)}
    config = load(None, {"method": "judge", "prompts.judge": "Nice? {question}"})
    check_conversations(questions, questions.numbers(), models, config, skip_bad=False)
    ((message,),) = rendered
    assert message["role"] == "user"
    assert message["content"].startswith("Nice? system: Be brief.\n\nuser: Why?\n\nAnswer with")
