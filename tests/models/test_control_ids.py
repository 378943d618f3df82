"""Control tokens never come from text, whatever the tokenizer's model and normalizer.

`TOKENIZERS` is a table of small tokenizers, each made so that text alone gives a control token.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from tessy.errors import ConfigError
from tessy.method.trajectory import Failure
from tessy.models.tokenizers import ControlInText, LocalTokenizer, PromptPiece

CONTROL = ["<|im_end|>", "</think>", "<think>", "<tool_call>", "[INST]", "</s>", "<sep>"]
LETTERS = sorted({*"abcdefghijklmnopqrstuvwxyz <>|/_[]INST\n▁", "<unk>"})
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


def numbered(tokens):
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def merges():
    """Merges that build `</think>` and `<|im_end|>` from their characters."""
    found, tokens = [], []
    for token in ("</think>", "<|im_end|>"):
        for end in range(2, len(token) + 1):
            found.append((token[: end - 1], token[end - 1]))
            tokens.append(token[:end])
    return found, tokens


def bpe(**more):
    pairs, tokens = merges()
    vocabulary = numbered([*LETTERS, *BYTES, *tokens, *CONTROL])
    return Tokenizer(models.BPE(vocabulary, list(dict.fromkeys(pairs)), unk_token="<unk>", **more))


def unigram():
    pieces = [("<unk>", 0.0), *((letter, -5.0) for letter in LETTERS if letter != "<unk>")]
    return Tokenizer(models.Unigram([*pieces, *((token, -1.0) for token in CONTROL)], unk_id=0))


def word_level():
    made = Tokenizer(models.WordLevel(numbered(["<unk>", "say", *CONTROL]), unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


def word_piece():
    vocabulary = numbered(["<unk>", *LETTERS, *(f"##{letter}" for letter in LETTERS), *CONTROL])
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


def byte_level(**more):
    made = bpe(**more)
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return made


def split_words(**more):
    made = bpe(**more)
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s"), "isolated")
    return made


def normalized(normalizer):
    made = bpe()
    made.normalizer = normalizer
    return made


def sentence_piece():
    made = bpe(byte_fallback=True)
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    return made


TOKENIZERS = {
    "BPE": bpe,
    "BPE, ignore_merges": lambda: split_words(ignore_merges=True),
    "byte-level BPE": byte_level,
    "byte-level BPE, ignore_merges": lambda: byte_level(ignore_merges=True),
    "SentencePiece's BPE": sentence_piece,
    "Unigram": unigram,
    "WordLevel": word_level,
    "WordPiece": word_piece,
    "NFKC": lambda: normalized(normalizers.NFKC()),
    "lower case": lambda: normalized(normalizers.Lowercase()),
    "replaces": lambda: normalized(normalizers.Replace("((", "<|")),
    "strips accents": lambda: normalized(
        normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])
    ),
}
TEXTS = [
    *CONTROL,
    "say <|im_end|> now",
    "</think></think></think>",
    "<think>\n</think>\n\n",
    "<</think>|im_end|>",
    "＜｜im_end｜＞ ＜/think＞",
    "<|IM_END|> </THINK>",
    "((im_end|>",
    "</thínk> <|im_énd|>",
    "</thi\u0301nk>",
    "<unk>",
    "",
]


@pytest.fixture(scope="module", params=[False, True], ids=["text", "special"])
def special(request):
    return request.param


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request, special, tmp_path_factory):
    return added(TOKENIZERS[request.param](), special, tmp_path_factory.mktemp("tokenizer"))


def added(made, special, folder):
    """A tokenizer with the control tokens added, and their ids."""
    made.add_tokens([AddedToken(token, special=special, normalized=False) for token in CONTROL])
    made.save(str(folder / "tokenizer.json"))
    return LocalTokenizer(folder), {made.token_to_id(token) for token in CONTROL}


async def check(tokenizer, text):
    """No id of it is control; what the model can spell is still spelled."""
    codec, control = tokenizer
    ids = await codec.encode(PromptPiece(text))
    assert control.isdisjoint(ids)
    assert None not in ids
    return ids


@pytest.mark.parametrize("text", TEXTS)
async def test_no_control_token_comes_from_text(tokenizer, text):
    await check(tokenizer, text)


async def test_control_tokens_come_from_control_text(tokenizer):
    codec, control = tokenizer
    for text in CONTROL:
        assert control.issuperset(await codec.encode(PromptPiece(text, control=True)))


@settings(max_examples=25)
@given(st.lists(st.sampled_from([*TEXTS, "say", " ", "<", ">", "|", "k>"]), max_size=8))
async def test_no_control_token_comes_from_any_text(tokenizer, texts):
    await check(tokenizer, "".join(texts))


async def test_a_text_that_is_cut_is_still_that_text(tmp_path):
    made = byte_level()
    made.add_special_tokens(CONTROL)
    made.save(str(tmp_path / "tokenizer.json"))
    codec = LocalTokenizer(tmp_path)
    text = "a</think>b<|im_end|></think>c[INST]"
    ids = await codec.encode(PromptPiece(text))
    assert "".join(token.text for token in await codec.tokens(ids)) == text
    many = "</think>" * 20_000
    ids = await codec.encode(PromptPiece(many))
    assert not set(ids) & {made.token_to_id(token) for token in CONTROL}


async def test_a_character_that_is_a_control_token_fails_the_sample(tmp_path):
    made = normalized(normalizers.Replace("§", "</think>"))
    made.add_special_tokens(CONTROL)
    made.save(str(tmp_path / "tokenizer.json"))
    codec = LocalTokenizer(tmp_path)
    with pytest.raises(ControlInText, match="control token of the text '§'") as error:
        await codec.encode(PromptPiece("a § 4"))
    assert error.value.failure is Failure.BAD_PROMPT


async def test_words_and_blanks_may_be_added_tokens(tmp_path):
    """Gemma's tokenizer has added tokens for runs of blanks; a text keeps them."""
    made = split_words(ignore_merges=True)
    made.add_tokens([AddedToken(text, normalized=False) for text in ("\n", "▁", "say")])
    made.save(str(tmp_path / "tokenizer.json"))
    ids = await LocalTokenizer(tmp_path).encode(PromptPiece("\n"))
    assert ids == [made.token_to_id("\n")]


@pytest.mark.parametrize(
    "raw", ["[]", "3", "{}", '{"model": 3}', '{"model": {"type": "BPE"}, "added_tokens": 3}', "["]
)
def test_a_tokenizer_of_wrong_types_is_named(tmp_path, raw):
    (tmp_path / "tokenizer.json").write_text(raw)
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        LocalTokenizer(tmp_path)
