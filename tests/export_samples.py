"""Records to export, made up; as `tessy.data.record` writes them."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

from texts import any_text, model_text

OPEN, CLOSE = "<think>\n", "\n</think>\n\n"
MODELS = {
    "student": "small",
    "teacher": "large",
    "student_predictor": "english-2",
    "teacher_predictor": "onnx:/home/me/secret/mine",
}


def record(
    sample_id="q0",
    thinking=(("student", "okay, "), ("teacher", "x=7 ")),
    answer="It is 7.",
    *,
    messages=None,
    question="What is x?",
    tokens=(4, 6),
    forced=False,
    tolerated=False,
    **extra,
):
    """A record of pieces of thinking, each with its author."""
    pieces = [("format", OPEN), *thinking, ("format", CLOSE), ("student", answer)]
    content, spans = "", []
    for role, text in pieces:
        if text:
            end = len(content) + len(text)
            marks = {"forced": forced and role == "teacher", "tolerated": tolerated}
            spans.append({"role": role, "start": len(content), "end": end, **marks})
            content += text
    said = messages or [{"role": "user", "content": question}]
    return {
        **extra,
        "id": sample_id,
        "messages": [*said, {"role": "assistant", "content": content}],
        "spans": spans,
        "stats": {
            "student_tokens": tokens[0],
            "teacher_tokens": tokens[1],
            "thinking_tokens": sum(tokens),
            "answer_tokens": 0,
            "student_discarded_tokens": 1,
            "teacher_discarded_tokens": 2,
            "turns": 3,
            "hand_overs": 1,
            "thinking_cut_off": False,
        },
        "method": "tessy",
        "models": dict(MODELS),
        "seed": 0,
    }


def write_records(path: Path, records) -> Path:
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text("".join(lines), encoding="utf-8")
    return path


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=5,
)
_asked = st.lists(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["system", "user", "assistant"]),
        model_text,
    ),
    min_size=1,
    max_size=4,
)
_extra = st.dictionaries(
    any_text.filter(lambda key: key not in {"sample_id", "thinking", "answer", "question"}),
    json_values,
    max_size=3,
)


@st.composite
def any_record(draw):
    """A record with any conversation, any authors, any other columns."""
    made = record(
        thinking=draw(
            st.lists(st.tuples(st.sampled_from(["student", "teacher"]), any_text), max_size=4)
        ),
        answer=draw(model_text),
        messages=draw(_asked),
        tokens=draw(st.tuples(st.integers(0, 99), st.integers(0, 99))),
        forced=draw(st.booleans()),
        tolerated=draw(st.booleans()),
    )
    made["stats"] |= draw(st.dictionaries(st.sampled_from(["later", "turns"]), json_values))
    made["models"] |= draw(st.dictionaries(st.sampled_from(["judge", "teacher"]), any_text))
    return {**draw(_extra), **made}


def many_records(max_size=12):
    """Records whose ids differ."""
    return st.lists(any_record(), max_size=max_size).map(
        lambda found: [{**made, "id": f"q{number}"} for number, made in enumerate(found)]
    )
