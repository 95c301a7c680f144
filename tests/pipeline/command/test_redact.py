"""Passwords stay in the process: what is shown of a text has none, and keeps the rest."""

import pytest

from pipeline.command.redact import is_ambiguous, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ada:apple@host:5432/db", "postgresql://ada:***@host:5432/db"),
        ("postgresql+psycopg://ada:p@ss@host/db", "postgresql+psycopg://ada:***@host/db"),
        ("postgresql://ada:p@s/s@host/db", "postgresql://ada:***@host/db"),
        ("postgresql://ada@corp:p/s#?s@host/db", "postgresql://ada@corp:***@host/db"),
        ("redis://:apple@host", "redis://:***@host"),
        ("at http://a:b@c and ftp://d:e@f.", "at http://a:***@c and ftp://d:***@f."),
        ("db?user=ada&password=apple&ssl=1", "db?user=ada&password=***&ssl=1"),
        ("TOKEN=apple secret='x'", "TOKEN=*** secret='x'"),
        ("https://apple@host/a and b", "https://***@host/a and b"),
        ("git+https://apple@host:80/a.git", "git+https://***@host:80/a.git"),
        ("https://host/hook?access_token=apple&a=1", "https://host/hook?access_token=***&a=1"),
        ("https://host/?api_key=apple", "https://host/?api_key=***"),
        ("curl -H 'Authorization: Bearer apple' x", "curl -H 'Authorization: Bearer ***' x"),
        ('-H "authorization: basic YXBwbGU="', '-H "authorization: basic ***"'),
        ("sent bearer apple, refused", "sent bearer ***, refused"),
        ("-H 'PRIVATE-TOKEN: apple'", "-H 'PRIVATE-TOKEN: ***'"),
        ('{"password": "apple", "a": 1}', '{"password": "***", "a": 1}'),
        ("X-Api-Key:apple", "X-Api-Key:***"),
    ],
)
def test_a_password_is_replaced_and_nothing_else(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///mlflow.db",
        "http://host:5000/a",
        "model.dropout=0.3",
        "a@b.c: no",
        "",
        "a token of thanks",
        "sqlite:///a@b/studies.db",
    ],
)
def test_a_text_without_a_password_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("character", "@/#?:% ")
def test_a_password_with_a_special_character_must_be_encoded(character: str) -> None:
    assert is_ambiguous(f"postgresql+psycopg://ada:ap{character}ple@host/db")
    assert is_ambiguous(f"http://a{character}x:apple@host:5000")
    assert not is_ambiguous(f"http://ada:ap%{ord(character):02X}ple@host:5000")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///a@b#c/studies.db",
        "sqlite:////a b@c/studies.db",
        "http://host:5000",
        "postgresql+psycopg://ada@host/db",
        "postgresql+psycopg://ada:a-p_p.l~e!@/db?host=/tmp",
        "./mlruns",
    ],
)
def test_a_url_without_special_characters_in_its_password_is_clear(url: str) -> None:
    assert not is_ambiguous(url)
