"""Passwords out of texts that leave the process: logs, errors, tags, artifacts."""

import re

# To the last @ of the word: what should have been encoded may hold @ and /. Rather too much is hidden.
_URL_PASSWORD = re.compile(r"(\w[\w+.-]*://[^\s:/]*):\S*@")
_NAMED_PASSWORD = re.compile(r"(?i)(password|passwd|pwd|token|secret)=[^\s&'\"]+")

_ENCODED = r"(?:[A-Za-z0-9_.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
_URL_WITH_USER = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*://{_ENCODED}(?::{_ENCODED})?@[^@#\s]*")
_FILE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:///")


def is_ambiguous(url: str) -> bool:
    """Whether it can't be told where a password in `url` ends: its special characters aren't encoded."""
    return "@" in url and not _FILE.match(url) and not _URL_WITH_USER.fullmatch(url)


def redact(text: str) -> str:
    """`text` with the passwords in URLs and in `password=...` replaced by `***`."""
    return _NAMED_PASSWORD.sub(r"\1=***", _URL_PASSWORD.sub(r"\1:***@", text))
