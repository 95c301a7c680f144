"""What the commands share: arguments, one clear error instead of a traceback, the exit code."""

import argparse
import atexit
import gc
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.command import refused
from pipeline.command.compose import CONF, compose, configured_from, nothing_in, to_yaml, usual
from pipeline.command.errors import ConfigError, PlumblineError, StorageError, exit_code
from pipeline.command.redact import redact
from pipeline.command.signals import stopping_at_once
from pipeline.command.streams import OutputClosedError, standard_streams


def command(
    argv: Sequence[str],
    run: Callable[[dict[str, Any]], int],
    prog: str,
    description: str,
    epilog: Callable[[Path], str],
) -> int:
    """Compose the configuration from `argv` and `run` it; the process's exit code."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {prog}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="what differs from conf/")
    parser.add_argument("--cfg", action="store_true", help="print the configuration and leave")
    parser.add_argument("--config-dir", type=Path, default=CONF, help="another folder than conf/")
    parser.add_argument("-h", "--help", action="store_true", help="print this and leave")

    def composed() -> int:
        _check_dashes(argv)
        arguments = parser.parse_intermixed_args(argv)
        if arguments.help:
            parser.epilog = nothing_in(arguments.config_dir) or epilog(arguments.config_dir)
            parser.print_help()
            return 0
        _check_text(arguments.overrides)
        with configured_from(arguments.config_dir):
            values = compose(arguments.overrides)
            values.typed = tuple(arguments.overrides)
            if arguments.cfg:
                print(to_yaml(values), end="")
                return 0
            return run(values)

    return guarded(composed, prog)


def guarded(run: Callable[[], int], prog: str) -> int:
    """The exit code of `run`, or of the error that ended it, which is told in one message.

    Ctrl-C and SIGTERM stop it; see `standard_streams` for what becomes of its output.
    """
    atexit.register(gc.freeze)  # else a last round through all that was imported takes 0.4 s
    with standard_streams():
        try:
            with stopping_at_once():
                code = run()
                sys.stdout.flush()  # what can't be written is noticed here at the latest
            return code
        except OutputClosedError as error:
            return error.exit_code
        except (PlumblineError, OSError) as error:
            print(f"error: {redact(str(error))}", file=sys.stderr)
            if isinstance(error, ConfigError):
                print(f"(python -m {prog} --help shows what there is)", file=sys.stderr)
            return exit_code(error)
        except Exception as error:  # noqa: BLE001  # the last resort: a traceback without passwords
            print(redact(traceback.format_exc()), file=sys.stderr, end="")
            return exit_code(error)


def _check_dashes(argv: Sequence[str]) -> None:
    """Raise ConfigError where an argument is an option that there isn't, with the override for it."""
    for place, argument in enumerate(argv):
        name, equals, _ = argument.partition("=")
        if argument == "--":
            return
        if name == "--config-dir":
            if not equals and place + 1 == len(argv):
                raise ConfigError("--config-dir: expected a folder (--config-dir FOLDER)")
        elif name[:1] == "-" and (name not in ("--cfg", "-h", "--help") or equals):
            following = argv[place + 1] if place + 1 < len(argv) else None
            raise ConfigError(refused.dashed(argument, following, usual))


def _check_text(overrides: Sequence[str]) -> None:
    """Raise ConfigError where an override or the working folder is no text that a database could keep."""
    try:
        folder = str(Path.cwd())
    except FileNotFoundError:
        raise StorageError("the working folder is gone (go to one that is there)") from None
    for place, text in [("the working folder", folder), *(("an override", t) for t in overrides)]:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ConfigError(
                f"{place}: expected UTF-8 text, got {text!r} (rename it; where the locale is not "
                "UTF-8 but the name is, set PYTHONUTF8=1)"
            ) from None


def listing(config_dir: Path, group: str) -> str:
    """The options of a configuration group, each with the first sentence of its file."""
    lines = []
    for file in sorted((config_dir / group).glob("*.yaml")):
        comments = [
            line[1:].strip()
            for line in file.read_text(encoding="utf-8").splitlines()
            if line[:1] == "#"
        ]
        lines.append(f"  {file.stem:<16} {next(line for line in comments if line[:1] != '@')}")
    return "\n".join(lines)
