"""What a scheduler runs is what was typed, to the character."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from pipeline.command.errors import ConfigError
from search.scheduling.targets import TEMPLATES
from tests.search.scheduling.printed import CONFIG, rendered

WORDS = (
    "study.name=n_${now:%Y-%m-%d}",
    "spaces in it ",
    "it's",
    'say "hi"',
    "100% %n %%",
    r"\% a\%b \\%",
    r"back\slash\n\\",
    "ends in \\",
    "$HOME ${HOME} $(id) $$ $$$ $(HOME) `id` $",
    "; id",
    ";",
    "&& id | id > x < y",
    "# no comment",
    "ünï 漢 👩‍👩‍👧",
    "",
    "*?[a]~",
    "!!",
    "{{command}}",
    "'",
    '"',
    r"\;",
)
PLACE = r"""my $x runs 100%j 'q' "d" #;ü"""
SYSTEMD = Path("/lib/systemd/systemd")


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder that another user may read, with a name that needs every kind of quotes."""
    with TemporaryDirectory() as name:
        folder = Path(name) / PLACE
        folder.mkdir()
        Path(name).chmod(0o755)
        yield folder


@pytest.fixture
def python(room: Path) -> str:
    """A program that notes its arguments and its folder, and ends well."""
    program = room / "py thon"
    note = f"open({str(room / 'told')!r}, 'w')"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys\njson.dump([sys.argv, os.getcwd()], {note})\n"
    )
    program.chmod(0o755)
    return str(program)


def expected(python: str) -> list[str]:
    added = ["study.lock=skip", "study.max_seconds=21480", "launcher.grace_seconds=60"]
    start = [python, "-m", "search.optimize", "+study=full"]
    return [*start, *WORDS, *added, "launcher.require_gpu=true"]


def run(script: str, room: Path, folder: Path) -> tuple[list[str], str]:
    """Arguments and folder of the program when a shell runs `script` from `folder`."""
    done = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    arguments, where = json.loads((room / "told").read_text())
    return arguments, where


def handed_on_by_cron(line: str, stripping: bool) -> str:
    r"""What cron gives the shell: all before the first bare %; of \% cronie takes the backslash away."""
    command = re.match(r"(?:[^%\\]|\\.)*", line, flags=re.DOTALL)
    assert command is not None
    return command[0].replace(r"\%", "%") if stripping else command[0]


@pytest.mark.parametrize("stripping", [True, False])
def test_cron_runs_what_was_typed(stripping: bool, room: Path, python: str) -> None:
    text = rendered("cron", "30 2 * * *", *WORDS, python=python, folder=str(room))
    assert text.count("\n") == 1
    line = text.removeprefix("30 2 * * * ").removesuffix("\n")
    script = handed_on_by_cron(line, stripping)
    assert run(script, room, room.parent) == (expected(python), str(room))


def test_slurm_runs_what_was_typed(room: Path, python: str) -> None:
    script = rendered("slurm", "0 2 * * *", *WORDS, python=python, folder=str(room))
    assert run(script, room, room.parent) == (expected(python), str(room))


def test_slurm_finds_the_script_and_writes_the_log_beside_it(room: Path) -> None:
    lines = rendered("slurm", folder=str(room)).splitlines()
    (submitted,) = [line for line in lines if " sbatch " in line]
    script = shlex.split(submitted.partition(" sbatch ")[2])
    assert script == [f"{room}/plumbline-full.sh"]
    (log,) = [line for line in lines if "--output=" in line]
    pattern = as_sbatch_reads(log.removeprefix("#SBATCH "))
    assert pattern.startswith("--output=")
    name = re.sub("%([%j])", lambda m: "%" if m[1] == "%" else "17", pattern)
    assert name == f"--output={room}/plumbline-full-17.log"


def as_sbatch_reads(line: str) -> str:
    """The first argument in `line`: a backslash escapes in quotes of both kinds, a bare # ends it."""
    word, quote = "", ""
    characters = iter(line)
    for character in characters:
        if character == "\\":
            word += next(characters)
        elif quote:
            quote, word = ("", word) if character == quote else (quote, word + character)
        elif character in "'\"":
            quote = character
        elif character in " #":
            break
        else:
            word += character
    return word


def test_a_folder_that_slurm_can_not_log_in_is_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape(r"SLURM takes no \ in a log's path, got /a\b")):
        rendered("slurm", folder=r"/a\b")


def test_kubernetes_runs_what_was_typed(room: Path, python: str) -> None:
    """It reads $$ as $, and $(NAME) as a variable, before the shell sees them."""
    job = yaml.safe_load(rendered("kubernetes", "0 2 * * *", *WORDS, python=python))
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    (script,) = container["args"]
    told = re.sub(r"\$(\$|\(HOME\))", lambda m: "$" if m[1] == "$" else "/root", script)
    assert run(told, room, room)[0] == expected(python)


@pytest.mark.parametrize("image", ["plumbline:1", "1.0", "true", "null", "host:5000/a/b@sha256:0f"])
def test_kubernetes_reads_an_image_as_text(image: str) -> None:
    job = yaml.safe_load(rendered("kubernetes", config=CONFIG.model_copy(update={"image": image})))
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == image


@pytest.mark.parametrize("end", ["", " ", "\\"])
def test_systemd_runs_what_was_typed(end: str, room: Path) -> None:
    """Read by systemd itself, which dumps what it would start, and takes $$ for $ when it does."""
    if not SYSTEMD.exists() or (os.getuid() == 0 and shutil.which("setpriv") is None):
        pytest.skip("needs systemd, and as root setpriv")
    python = str(shutil.copy("/bin/true", room.parent / "py $x 100%n;#ü"))
    folder = room / f"f{end}"
    folder.mkdir()
    text = rendered("systemd", "0 2 * * *", *WORDS, python=python, folder=str(folder))
    service = text.partition("# ~/.config/systemd/user/plumbline-full.timer")[0]
    units = room.parent
    (units / "plumbline-full.service").write_text(service)
    (units / "run").mkdir()
    (units / "run").chmod(0o777)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run(
        [
            *(nobody if os.getuid() == 0 else []),
            *(str(SYSTEMD), "--user", "--test", "--unit=plumbline-full.service", "--no-pager"),
        ],
        capture_output=True,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(units),
            "XDG_RUNTIME_DIR": str(units / "run"),
            "SYSTEMD_UNIT_PATH": f"{units}:/usr/lib/systemd/user",
        },
    )
    (unit,) = re.findall(
        r"(?ms)^\t-> Unit plumbline-full\.service:$(.*?)(?=^\t-> |\Z)", done.stdout + "\n"
    )
    (command,) = re.findall(r"Command Line: (.*)", unit)
    words = [
        re.sub(r"\\(.)", r"\1", quoted) if quoted else bare
        for quoted, bare in re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', command)
    ]
    program, *arguments = words
    assert [program, *(word.replace("$$", "$") for word in arguments)] == expected(python)
    assert re.findall(r"(?m)WorkingDirectory: (.*)$", unit) == [str(folder)]


@pytest.mark.parametrize("target", TEMPLATES)
@pytest.mark.parametrize(
    "end", ["\n", "\r", "\t", "\0", "\x0b", "\x1b", "\x85", "\u2028", "\udcff"]
)
def test_what_would_end_a_line_is_refused_wherever_it_stands(target: str, end: str) -> None:
    for refused in (
        lambda: rendered(target, "0 2 * * *", f"study.question='a{end}b'"),
        lambda: rendered(target, python=f"/opt/a{end}b/python"),
        lambda: rendered(target, folder=f"/srv/a{end}b"),
    ):
        with pytest.raises(ConfigError, match=r": expected UTF-8 without line breaks .* \(take"):
            refused()
