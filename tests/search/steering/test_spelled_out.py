"""What is typed without KEY=VALUE is what to do, and with which study."""

import pytest

from search.studies import spelled_out


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ([], []),
        (["show", "dropout"], ["studies.do=show", "study.name=dropout"]),
        (["stop", "a", "now=true"], ["studies.do=stop", "study.name=a", "studies.now=true"]),
        (["now=true", "stop", "a"], ["studies.now=true", "studies.do=stop", "study.name=a"]),
        (["rename", "a", "b"], ["studies.do=rename", "study.name=a", "studies.to=b"]),
        (["rename", "a", "to=b"], ["studies.do=rename", "study.name=a", "studies.to=b"]),
        (["delete", "a", "yes=true", "tracking=true"],
         ["studies.do=delete", "study.name=a", "studies.yes=true", "studies.tracking=true"]),
        (["delete", "a", "tracking=none"], ["studies.do=delete", "study.name=a", "tracking=none"]),
        (["show", "1"], ["studies.do=show", "study.name='1'"]),
        (["show", "true"], ["studies.do=show", "study.name='true'"]),
        (["show", "null"], ["studies.do=show", "study.name='null'"]),
        (["show", "größe"], ["studies.do=show", "study.name='größe'"]),
        (["show", "study.name=a"], ["studies.do=show", "study.name=a"]),
        (["show", "a", "b", "c"], ["studies.do=show", "study.name=a", "studies.to=b", "c"]),
        (["--config-dir", "conf", "show", "a"],
         ["--config-dir", "conf", "studies.do=show", "study.name=a"]),
        (["--help"], ["--help"]),
        (["storage.url=sqlite:///now=true"], ["storage.url=sqlite:///now=true"]),
    ],
)  # fmt: skip
def test_bare_words_are_what_to_do_with_which_study(typed: list[str], means: list[str]) -> None:
    assert spelled_out(typed) == means
