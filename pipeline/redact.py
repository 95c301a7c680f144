"""Passwords out of texts that leave the process: logs, errors, tags, artifacts."""

import re

# To the last @: a password that should have been encoded may hold one.
_URL_PASSWORD = re.compile(r"(\w[\w+.-]*://[^\s:/@]*):[^\s@]*(?:@[^\s@/]*)*@")
_NAMED_PASSWORD = re.compile(r"(?i)(password|passwd|pwd|token|secret)=[^\s&'\"]+")


def redact(text: str) -> str:
    """`text` with the passwords in URLs and in `password=...` replaced by `***`."""
    return _NAMED_PASSWORD.sub(r"\1=***", _URL_PASSWORD.sub(r"\1:***@", text))
