"""The schedule of the published code, for comparison: rounds, plain requests, prompts of text.

python benchmarks/lockstep.py JSON, with the keys of `client.Asked`; prints a line of JSON.

In each round every sample under way sends one request (chunks of 10 tokens for the
teacher and 5 for the student) and all wait for the last of them; answers are one request in such
a round. When a sample ends, the next one takes its place. Boundaries are found at no cost.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import world
from client import Asked

from tessy.event_loop import run_loop
from tessy.method.trajectory import Role
from tessy.testing.prompts import HARMONY_OPENS

CHUNK = {Role.STUDENT: 5, Role.TEACHER: 10}
QUESTION = "[[{0}]] What is it?"
OPENINGS = {
    Role.STUDENT: f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n<think>\n",
    Role.TEACHER: f"<|start|>user<|message|>{QUESTION}<|end|><|start|>assistant{HARMONY_OPENS}",
}


@dataclass
class Sample:
    """One trajectory."""

    key: str
    thinking: str = ""
    answer: str = ""
    role: Role = Role.STUDENT
    answering: bool = False
    done: bool = False
    stop: tuple[str, ...] = field(default=("</think>", "<|end|>"))

    def take(self, text: str, ended: bool) -> None:
        """Generate, then roll back."""
        if self.answering:
            self.answer, self.done = text, True
            return
        words = text.split()
        wants_digits = self.role is Role.TEACHER
        kept = next((n for n, w in enumerate(words) if w[0].isdigit() != wants_digits), None)
        self.thinking += "".join(f" {word}" for word in words[:kept])
        if kept is not None:
            self.role = self.role.other
        elif ended:
            self.answering, self.role = True, Role.STUDENT


async def main(asked: Asked) -> dict[str, float]:
    """Run it."""
    urls = {Role.STUDENT: asked.student, Role.TEACHER: asked.teacher}
    waiting = [Sample(f"q{n}") for n in reversed(range(asked.questions))]
    running: list[Sample] = []
    done: list[Sample] = []
    before, began = time.process_time(), time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def step(sample: Sample) -> None:
            prompt = OPENINGS[sample.role].format(sample.key) + sample.thinking
            if sample.answering:
                prompt += "\n</think>\n\n"
            size = asked.answer_words + 8 if sample.answering else CHUNK[sample.role]
            body = {
                "model": "scripted",
                "prompt": prompt,
                "max_tokens": size,
                "stop": ["<|im_end|>"] if sample.answering else list(sample.stop),
                "skip_special_tokens": False,
            }
            async with session.post(f"{urls[sample.role]}/completions", json=body) as answer:
                (choice,) = (await answer.json())["choices"]
            sample.take(choice["text"], choice["finish_reason"] == "stop")

        while waiting or running:
            while waiting and len(running) < asked.at_once:
                running.append(waiting.pop())
            await asyncio.gather(*map(step, running))
            done += [sample for sample in running if sample.done]
            running = [sample for sample in running if not sample.done]
    wall, used = time.perf_counter() - began, time.process_time() - before
    for sample in done:
        content = f"<think>\n{sample.thinking}\n</think>\n\n{sample.answer}"
        world.check(content, sample.key, asked.words, asked.answer_words)
    return {
        "wall_s": wall,
        "cpu_s": used,
        "kept": len(done) * (asked.words + asked.answer_words),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    print(json.dumps(run_loop(main(Asked(**json.loads(sys.argv[1]))))))
