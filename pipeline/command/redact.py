"""Passwords out of texts that were written by somebody else: errors of libraries, what was typed.

It knows how secrets usually look, and so misses some: what is published of a configuration is chosen by
name (`public`), and this is the second net.
"""

import re

# To the last @ of the word: what should have been encoded may hold @ and /. Rather too much is hidden.
_URL_PASSWORD = re.compile(r"(\w[\w+.-]*://[^\s:/]*):\S*@")
# A user without a password is a token, as git hosts and webhooks take them.
_URL_TOKEN = re.compile(r"(\w[\w+.-]*://)[^\s:/@'\"]+@(?!\S*:\S*@)")
_SECRETS = r"password|passwd|pwd|token|secret|api[_-]?key|access[_-]?key|signature"
_NAMED_PASSWORD = re.compile(rf"(?i)({_SECRETS})=[^\s&'\"]+")
_HEADER = re.compile(rf"(?i)\b((?:[\w-]*(?:{_SECRETS}))\"?:\s*\"?)[^\s'\",]+")
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|authorization:\s*\w+)\s+[^\s'\",]+")

_ENCODED = r"(?:[A-Za-z0-9_.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
_URL_WITH_USER = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*://{_ENCODED}(?::{_ENCODED})?@[^@#\s]*")
_FILE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:///")


def is_ambiguous(url: str) -> bool:
    """Whether it can't be told where a password in `url` ends: its special characters aren't encoded."""
    return "@" in url and not _FILE.match(url) and not _URL_WITH_USER.fullmatch(url)


def redact(text: str) -> str:
    """`text` with the passwords and tokens in URLs, in `password=...` and in headers replaced by `***`."""
    text = _URL_PASSWORD.sub(r"\1:***@", _URL_TOKEN.sub(r"\1***@", text))
    text = _HEADER.sub(r"\1***", _NAMED_PASSWORD.sub(r"\1=***", text))
    return _AUTHORIZATION.sub(r"\1 ***", text)
