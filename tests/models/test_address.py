import pytest

from tessy.errors import ConfigError
from tessy.models.address import Address, Scheme, parse


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (
            "http://h:8000/v1#Qwen/Qwen3-8B",
            Address(Scheme.SERVER, "http://h:8000/v1", "Qwen/Qwen3-8B"),
        ),
        ("http://h:8000", Address(Scheme.SERVER, "http://h:8000/v1")),
        ("https://h/api/v1/", Address(Scheme.SERVER, "https://h/api/v1")),
        ("http://h/v1/completions#m", Address(Scheme.SERVER, "http://h/v1", "m")),
        ("gguf:~/m.gguf", Address(Scheme.GGUF, "~/m.gguf")),
        ("hf:owner/repo/a/b.gguf", Address(Scheme.HUB, "owner/repo/a/b.gguf")),
        ("lab:teacher", Address(Scheme.LAB, "teacher")),
    ],
)
def test_forms(text, address):
    assert parse(text) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Qwen/Qwen3-8B", "is not a model"),
        ("", "is not a model"),
        ("gguf:", "is not a model"),
        ("server:x", "is not a model"),
        ("lab:", "is not a model"),
        ("lab:pupil", "is not a model"),
        ("hf:owner/repo", "names no file"),
        ("http://", "names no host"),
        ("http://h:notaport/v1", "notaport"),
        ("http://me:secret@h/v1", "holds a password"),
    ],
)
def test_a_name_that_is_not_a_model(text, message):
    with pytest.raises(ConfigError, match=message) as error:
        parse(text)
    assert error.value.hint
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    ["http://h/a b", "http://h/v1\r\nX: 1", "http://h/v1\t", "http://例え.jp/v1", "http://h/é"],
)
def test_a_url_that_would_break_a_request(url):
    with pytest.raises(ConfigError, match="has a character that no URL has"):
        parse(url)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Qwen/Qwen3-8B", "`vllm serve Qwen/Qwen3-8B`"),
        ("./models/qwen", "`vllm serve ./models/qwen`"),
        ("localhost:8000/v1", "http://localhost:8000/v1"),
        ("10.0.0.1:8000", "http://10.0.0.1:8000"),
        ("student.gguf", "gguf:student.gguf"),
        ("lab:studnt", "did you mean lab:student?"),
    ],
)
def test_what_to_write_instead(text, hint):
    with pytest.raises(ConfigError) as error:
        parse(text)
    assert hint in (error.value.hint or "")
