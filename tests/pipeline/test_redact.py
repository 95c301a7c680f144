"""Passwords stay in the process: what is shown of a text has none, and keeps the rest."""

import pytest

from pipeline.redact import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ada:apple@host:5432/db", "postgresql://ada:***@host:5432/db"),
        ("postgresql+psycopg://ada:p@ss@host/db", "postgresql+psycopg://ada:***@host/db"),
        ("redis://:apple@host", "redis://:***@host"),
        ("at http://a:b@c and ftp://d:e@f.", "at http://a:***@c and ftp://d:***@f."),
        ("db?user=ada&password=apple&ssl=1", "db?user=ada&password=***&ssl=1"),
        ("TOKEN=apple secret='x'", "TOKEN=*** secret='x'"),
    ],
)
def test_a_password_is_replaced_and_nothing_else(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text", ["sqlite:///mlflow.db", "http://host:5000/a", "model.dropout=0.3", "a@b.c: no", ""]
)
def test_a_text_without_a_password_stays_as_it_is(text: str) -> None:
    assert redact(text) == text
