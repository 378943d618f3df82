"""The tables of docs/boundary.md: `python -m studies.predictor.table`, about a minute."""

from __future__ import annotations

from collections.abc import Sequence

from tessy.boundary.decision import decide
from tessy.boundary.protocol import Predictor
from tessy.boundary.registry import SHIPPED, load
from tessy.boundary.training.evaluate import PredictorEvaluation, evaluate
from tessy.boundary.training.report import shown
from tessy.boundary.training.segments import gold_file
from tessy.boundary.window import RIGHT, WindowPredictor
from tessy.method.judgement import Judgement, Passage
from tessy.method.reading import Reading
from tessy.method.trajectory import Trajectory
from tessy.method.words import units

COLUMNS = ("word_f1", "boundary_f1_near", "cut_near", "ece")


class Narrow:
    """A predictor that sees only some words to the right of the word that it judges.

    Args:
        predictor: Judges.
        words: How many it sees.
    """

    batched = True

    def __init__(self, predictor: WindowPredictor, words: int) -> None:
        self.name = f"{predictor.name}, {words} words to the right"
        self._predictor, self._words = predictor, words
        self._known: dict[tuple[str, int], float] = {}

    def style(self, passages: Sequence[Passage]) -> list[list[float]]:
        """P(style) of each word, given the text up to a few words after it."""
        return [self._one(passage) for passage in passages]

    def _one(self, passage: Passage) -> list[float]:
        words, begin = units(passage.text), len(passage.context)
        keys, new = [], []
        for at, word in enumerate(words):
            end = words[min(at + self._words, len(words) - 1)].word_end
            cut = Passage(passage.role, passage.context, passage.text[:end], True)
            keys.append((cut.context + cut.text, begin + word.word_start))
            if keys[-1] not in self._known:
                new.append((keys[-1], cut, at))
        for (key, _, at), row in zip(
            new, self._predictor.style([cut for _, cut, _ in new]), strict=True
        ):
            self._known[key] = row[at]
        return [self._known[key] for key in keys]

    def judge(self, passages: Sequence[Passage]) -> list[Judgement]:
        """The first word whose score is on the other side."""
        thresholds = self._predictor.settings.thresholds
        return [
            decide(passage, units(passage.text), row, thresholds.of(passage.role), ())
            for passage, row in zip(passages, self.style(passages), strict=True)
        ]


class Streamed:
    """A predictor as it judges a stream: each word when it comes, and never again.

    Args:
        predictor: Judges.
    """

    batched = True

    def __init__(self, predictor: Predictor) -> None:
        self.name = f"{predictor.name}, streamed"
        self._predictor = predictor
        self.waited: list[int] = []

    def judge(self, passages: Sequence[Passage]) -> list[Judgement]:
        """The first boundary that is found while the text grows."""
        return [self._one(passage) for passage in passages]

    def _one(self, passage: Passage) -> Judgement:
        written = Trajectory(thinking=passage.context, role=passage.role)
        reading = Reading(written)
        for end in reading.add(passage.text):
            reading.take(self._predictor.judge([reading.view(end)])[0])
            if reading.boundary is not None:
                following = passage.text[reading.boundary.boundary : end - 1]
                self.waited.append(len(following.split()) - 1)
                return reading.boundary
        return self._predictor.judge([reading.judging.ask(passage.text, final=passage.final)])[0]


def row(name: str, evaluation: PredictorEvaluation) -> str:
    """A row of the table."""
    figures = [shown(evaluation.whole.figures[column]) for column in COLUMNS]
    speed = f"{evaluation.speed.milliseconds:.2f}" if evaluation.speed else "–"
    return f"| {name} | {' | '.join(figures)} | {speed} |"


def main() -> None:
    """Print the tables."""
    gold = gold_file()
    print(f"{len(gold)} gold segments\n")
    print(
        "| predictor | style F1, words | boundary F1, within a word | cuts within a word "
        "| ECE | ms |"
    )
    print("|---|---|---|---|---|---|")
    made: list[tuple[str, Predictor, bool]] = [
        ("`lexicon`", load("lexicon"), True),
        (f"`{SHIPPED}`", load(SHIPPED), True),
    ]
    ours = load(SHIPPED)
    assert isinstance(ours, WindowPredictor)
    made += [(f"{words} words to the right", Narrow(ours, words), False) for words in range(RIGHT)]
    streamed = Streamed(load(SHIPPED))
    made.append((streamed.name, streamed, False))
    whole: dict[str, PredictorEvaluation] = {}
    for name, predictor, timed in made:
        whole[name] = evaluate(predictor, gold, timed=timed)
        print(row(name, whole[name]), flush=True)
    print(f"\nstreamed, it waits for {sum(streamed.waited) / len(streamed.waited):.2f} words")
    lexicon, shipped = whole["`lexicon`"], whole[f"`{SHIPPED}`"]
    for group in ("subject", "model", "position"):
        print(f"\n| {group} | segments | `lexicon` | `{SHIPPED}` |\n|---|---|---|---|")
        for value, members in shipped.groups[group].items():
            cells = [
                f"{e.groups[group][value].figures['word_f1'].value:.3f}, "
                f"{e.groups[group][value].figures['boundary_f1_near'].value:.3f}"
                for e in (lexicon, shipped)
            ]
            print(f"| {value} | {members.segments} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
