"""Filters: each gives a reason to drop a sample, or none.

What is contaminated, and what is nearly the same, is in `overlap`. All messages of a sample are
searched for words of test questions, since a response may repeat a question that its own question
only hints at. Near-duplicates are found among responses, not questions: several samples of one
question are wanted, two samples with nearly the same response are not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tessy.display import Say
from tessy.errors import ConfigError
from tessy.exporting.overlap import SimilarTexts, WordOverlap, questions_in
from tessy.exporting.samples import Drop, ExportSample, Reason
from tessy.exporting.settings import ExportSettings
from tessy.runs.reviews import Review, digest, rejects
from tessy.verifiers.protocol import VerdictOutcome


def by_review(sample: ExportSample, review: Review | None, *, accepted: bool) -> Drop | None:
    """Drop a sample that a reader rejected.

    Args:
        sample: The sample.
        review: What a reader said about it last.
        accepted: Also drop those that no reader accepted.
    """
    if review is not None and rejects(review, sample.content):
        comment = f": {review.comment}" if review.comment else ""
        return Drop(Reason.REJECTED, f"by a reader{comment}")
    if not accepted:
        return None
    if review is None or review.decision is None:
        return Drop(Reason.NOT_ACCEPTED, "no reader has decided")
    if review.text != digest(sample.content):
        return Drop(Reason.NOT_ACCEPTED, "a reader decided about an earlier response")
    return None


class Filters:
    """The filters that the settings ask for, in their order.

    Args:
        settings: Of the export.
        say: Called with the number of test questions.

    Raises:
        ConfigError: There is no such tokenizer.
        DataError: A file of test questions can't be read.
        MissingExtra: `datasketch` is needed.
    """

    def __init__(self, settings: ExportSettings, say: Say = lambda line: None) -> None:
        self._settings = settings
        self._tokens: Callable[[ExportSample], int] = lambda sample: sample.tokens
        if settings.tokenizer:
            self._tokens = token_counter(settings.tokenizer)
        self._word_filters: list[Callable[[ExportSample], Drop | None]] = []
        if settings.decontaminate:
            contamination = Contamination(questions_in(settings.decontaminate), settings.ngram)
            self._word_filters.append(contamination)
            say(str(contamination))
        if settings.near_duplicates is not None:
            # It remembers what it lets pass, so it must come last.
            self._word_filters.append(NearDuplicates(settings.near_duplicates))

    def by_numbers(self, sample: ExportSample) -> Drop | None:
        """Drop a sample for its answer, method, forced spans, teacher's share or length."""
        bounds, share, forced = self._settings, sample.teacher_share, sample.forced
        if bounds.right and sample.outcome is not VerdictOutcome.RIGHT:
            return Drop(Reason.NOT_RIGHT, sample.outcome or "not verified")
        if bounds.method is not None and sample.method != bounds.method:
            return Drop(Reason.METHOD, f"written by {sample.method}, not {bounds.method}")
        least, most = bounds.min_teacher_share, bounds.max_teacher_share
        if bounds.drop_forced and forced:
            spans = "span" if forced == 1 else "spans"
            return Drop(Reason.FORCED, f"{forced} {spans} kept only for Progress")
        if least is not None and share < least:
            return Drop(Reason.TEACHER_SHARE_LOW, f"teacher share {share:.4f}, below {least}")
        if most is not None and share > most:
            return Drop(Reason.TEACHER_SHARE_HIGH, f"teacher share {share:.4f}, above {most}")
        longest = bounds.max_tokens
        if longest is not None and (tokens := self._tokens(sample)) > longest:
            return Drop(Reason.TOO_LONG, f"{tokens} tokens, above {longest}")
        return None

    def by_words(self, sample: ExportSample) -> Drop | None:
        """Drop a sample for what it shares with test questions or earlier samples."""
        return next((drop for find in self._word_filters if (drop := find(sample))), None)


def token_counter(name: str) -> Callable[[ExportSample], int]:
    """Make a function that counts a sample's tokens with a tokenizer.

    It counts the text of all messages. What a chat template adds to them, a few tokens a message,
    is not counted.

    Args:
        name: A folder with `tokenizer.json`, or an id on Hugging Face.

    Raises:
        ConfigError: There is no such tokenizer.
    """
    from tokenizers import Tokenizer

    folder = Path(name)
    try:
        if folder.is_dir():
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        else:
            tokenizer = Tokenizer.from_pretrained(name)
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError(
            f"{name} is no tokenizer that can be read: {error}",
            hint="a folder with tokenizer.json, or an id on Hugging Face",
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(sample: ExportSample) -> int:
        texts = [message["content"] for message in sample.messages]
        return sum(len(each) for each in tokenizer.encode_batch(texts, add_special_tokens=False))

    return count


class Contamination(WordOverlap):
    """Drops samples that share words with test questions."""

    def __call__(self, sample: ExportSample) -> Drop | None:
        """Drop a sample that shares words with a test question."""
        found = self.find(sample.messages)
        return None if found is None else Drop(Reason.CONTAMINATED, found)


class NearDuplicates(SimilarTexts):
    """Drops samples whose response is nearly that of a sample that passed."""

    def __call__(self, sample: ExportSample) -> Drop | None:
        """Drop a sample that is similar to one that passed; else remember it."""
        found = self.find(sample.id, sample.content)
        return None if found is None else Drop(Reason.NEAR_DUPLICATE, found)
