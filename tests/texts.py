"""Hypothesis strategies for the texts that models write."""

from __future__ import annotations

from hypothesis import strategies as st

STYLE = ["okay,", "wait", "hmm…", "let's", "see,", "哦", "等等", "🤔", "so", "Ach,", "étrange"]
CAPABILITY = ["x=7", "n+3", "42", "∑ᵢaᵢ=9", "計算3次", "a[i]=0", "2^10", "mod17", "🧮9", "é=́1"]
BLANKS = [" ", " ", " ", "  ", "\n", "\n\n", " \n    ", "\t"]
PIECES = [
    *STYLE,
    *CAPABILITY,
    "完成了",
    "👩‍👩‍👧‍👦",
    "e\u0301\u0323",
    "if x1:\n        y2 = 3",
    "<|im_end|>",
    "`a1`",
]

any_text = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from(" \n\t.,=x1計🤔\u200d\u0301"),
    ),
    max_size=80,
)
model_text = st.lists(st.tuples(st.sampled_from(BLANKS), st.sampled_from(PIECES)), max_size=40).map(
    lambda pairs: "".join(blank + word for blank, word in pairs)
)


def chunkings(text: str) -> st.SearchStrategy[list[str]]:
    """Ways to cut a text into chunks."""
    cuts = st.lists(st.integers(0, len(text)), max_size=12).map(sorted)
    return cuts.map(lambda at: [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)])
