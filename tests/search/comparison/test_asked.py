"""Which studies are compared is checked before anything is read or written."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.compose import compose
from pipeline.command.errors import ConfigError
from pipeline.command.section import validated
from search.comparison.asked import compared
from search.comparison.compared import COLOURS, read
from search.rendering.report import ReportConfig
from search.report import main, spelled_out
from tests.search import made
from tests.search.steering.on_record import a_study, mixed


@pytest.fixture(scope="module")
def usual() -> dict[str, Any]:
    return compose(["tracking=none"])


def asked(usual: dict[str, Any], url: str, studies: object, **report: object) -> list[str]:
    config = validated(ReportConfig, {"path": None, "studies": studies, **report}, "report")
    return compared(usual, config, url)


MANY = [f"s{number}" for number in range(len(COLOURS) + 1)]


@pytest.mark.parametrize(
    ("studies", "rule"),
    [
        ([], r"expected two or more, got 0 \(studies=\[ONE,OTHER\]\)"),
        (["a"], r"expected two or more, got 1 \(study.name=a is the report of one\)"),
        ("a", r"expected two or more, got 1"),
        ("a,b", r"expected a list \(report\.studies=\[a,b\]\)"),
        (["a", "b", "a"], "a is named twice"),
        (["größe", "gro\u0308ße"], "größe is named twice"),
        (["a", "../b"], "expected letters, digits"),
        (["a", 7], "expected string .*, got 7"),
        (MANY, f"expected at most {len(COLOURS)}, got {len(MANY)}"),
    ],
)
def test_what_can_not_be_compared_is_refused(
    usual: dict[str, Any], workdir: Path, studies: object, rule: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^report\.studies(\.1)?: {rule}"):
        asked(usual, "sqlite:///none.db", studies)
    assert list(workdir.iterdir()) == []


def test_several_studies_and_one_are_refused_together(usual: dict[str, Any]) -> None:
    both = {**usual, "study": {**usual["study"], "name": "c"}}
    with pytest.raises(ConfigError, match=r"either several studies or one, got study\.name=c too"):
        asked(both, "sqlite:///none.db", ["a", "b"])


def test_each_name_that_is_none_is_named_with_those_that_are(
    usual: dict[str, Any], url: str, workdir: Path
) -> None:
    a_study(url, "dropout")
    with pytest.raises(ConfigError) as refused:
        asked(usual, url, ["dropuot", "nan", "dropout"])
    first, second = str(refused.value).splitlines()
    assert first.startswith(
        "report.studies: there is no study 'dropuot' (did you mean `dropout`?); in "
    )
    assert second.startswith("report.studies: there is no study 'nan'; in ")
    assert list(workdir.glob("*.html")) == []


def test_names_that_are_too_long_together_need_a_path(usual: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^report\.path: is missing, as the names together"):
        asked(usual, "sqlite:///none.db", [c * 100 for c in "abc"])
    with pytest.raises(ConfigError, match="no study database"):
        asked(usual, "sqlite:///none.db", [c * 100 for c in "abc"], path="page.html")


def test_studies_is_short_for_the_setting_of_the_report() -> None:
    assert spelled_out(["studies=[a,b]", "storage.url=x", "studies.do=show"]) == [
        "report.studies=[a,b]",
        "storage.url=x",
        "studies.do=show",
    ]


@pytest.mark.slow
def test_studies_are_read_as_they_stand_and_in_the_order_of_their_names(url: str) -> None:
    a_study(url, "a", mixed())
    a_study(url, "b", made.many(2), target=2)
    b, a = read(url, ["b", "a"])
    assert (b.name, a.name) == ("b", "a")
    assert (b.colour, a.colour) == COLOURS[:2]
    assert b.standing.state == "met"
    assert [entry.state for entry in a.facts.entries] == [e.state for e in mixed()]


@pytest.mark.slow
def test_the_command_writes_one_page_that_is_called_as_its_studies(
    url: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("20261127", "größe"):
        a_study(url, name, mixed())
    words = spelled_out(["studies=[20261127,größe]", f"storage.url={url}", "tracking=none"])
    assert main(compose(words)) == 0
    (page,) = workdir.glob("*.html")
    assert page.name == "20261127+größe.html"
    assert "20261127, größe" in page.read_text()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("20261127+größe.html: ")
    assert len(line) < 80


@pytest.mark.slow
@pytest.mark.usefixtures("workdir")
def test_the_command_says_what_is_drawn_apart(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_study(url, "a", mixed())
    a_study(url, "b", mixed())
    monkeypatch.setattr(made, "DATA", replace(made.DATA, digest="d2" * 32))
    a_study(url, "c", mixed())
    words = [
        "report.studies=[a,c,b]",
        "report.path=x/y.html",
        f"storage.url={url}",
        "tracking=none",
    ]
    assert main(compose(words)) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("x/y.html: ")
    assert said[2:] == ["  a, b", "  c"]
    assert all(len(line) < 80 for line in said)
