"""The method in one flat script: Algorithm 1 with two model servers and nothing else.

    python examples/flat.py STUDENT_URL TEACHER_URL "question"

Each URL is a server's base, such as http://localhost:8000/v1. The script is for reading: it does
one question, without retries, token ids or resuming. `tessy synth` is the real thing.
"""

from __future__ import annotations

import json
import sys
import urllib.request

from tessy.boundary.lexicon import LexiconPredictor
from tessy.method.judgement import Passage
from tessy.method.trajectory import Role
from tessy.method.words import complete, joins_words, units

CHUNK = 20  # tokens asked for in one turn
LIMIT = 400  # turns
END = "</think>"


def main(urls: dict[Role, str], question: str) -> None:
    """Write one response turn by turn, and print who wrote what."""
    prompt = f"### Question\n\n{question}\n\n### Response\n\n<think>"
    predictor = LexiconPredictor()
    thinking, role, idle = "", Role.STUDENT, 0  # the student starts: responses open with style
    seam = False  # the author has changed since the last text
    for _ in range(LIMIT):
        chunk, ended = complete_text(urls[role], prompt + thinking, CHUNK, stop=END)
        if joins_words(thinking, chunk) and seam:  # Seams: again, after a blank
            thinking += tell(role, " ")
            continue
        judgement = predictor.judge([Passage(role, thinking, chunk, final=ended)])[0]
        words = complete(chunk, units(chunk), final=ended)
        if judgement.boundary is not None:  # the other kind of text: roll back and hand over
            kept = max((w.end for w in words if w.end <= judgement.boundary), default=0)
            if not kept and idle:  # Progress: the turn after an empty one keeps at least a word
                kept = next((w.word_end for w in words if w.word_end > w.word_start), 0)
            thinking += tell(role, chunk[:kept])
            idle, seam = 0 if kept else idle + 1, True
            role = role.other
        elif ended:
            thinking += tell(role, chunk.rstrip())
            break
        else:  # all its own kind: keep the whole words; the same model continues
            kept = words[-1].word_end if words else len(chunk)
            thinking += tell(role, chunk[:kept])
            idle, seam = 0, False
        if idle > 2:
            sys.exit("neither model writes anything")
    answer, _ = complete_text(urls[Role.STUDENT], f"{prompt}{thinking}\n{END}\n\n", 400)
    tell(Role.STUDENT, f"\n{END}\n\n{answer}\n")  # the student answers


def complete_text(url: str, prompt: str, max_tokens: int, stop: str = "") -> tuple[str, bool]:
    """What a model writes next, and whether it ended by itself."""
    body = {"prompt": prompt, "max_tokens": max_tokens, "temperature": 0.7, "stop": [stop or "###"]}
    request = urllib.request.Request(
        f"{url}/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        choice = json.load(answer)["choices"][0]
    return choice["text"].split(END)[0], choice["finish_reason"] == "stop"


def tell(role: Role, text: str) -> str:
    """Print text in its author's colour."""
    colour = "33" if role is Role.STUDENT else "36"
    print(f"\033[{colour}m{text}\033[0m", end="", flush=True)
    return text


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main({Role.STUDENT: sys.argv[1], Role.TEACHER: sys.argv[2]}, sys.argv[3])
