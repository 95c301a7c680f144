"""What the commands share: arguments, one clear error instead of a traceback, the exit code."""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.compose import CONF, compose, to_yaml
from pipeline.errors import ConfigError, PlumblineError, StoppedError, StorageError
from pipeline.redact import redact


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
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="what differs from conf/")
    parser.add_argument("--cfg", action="store_true", help="print the configuration and leave")
    parser.add_argument("--config-dir", type=Path, default=CONF, help="another folder than conf/")
    parser.add_argument("-h", "--help", action="store_true", help="print this and leave")
    arguments = parser.parse_intermixed_args(argv)
    if arguments.help:
        parser.epilog = epilog(arguments.config_dir)
        parser.print_help()
        return 0
    try:
        values = compose(arguments.overrides, arguments.config_dir)
        if arguments.cfg:
            print(to_yaml(values), end="")
            return 0
        return run(values)
    except PlumblineError as error:
        print(f"error: {redact(str(error))}", file=sys.stderr)
        if isinstance(error, ConfigError):
            print(f"(python -m {prog} --help shows what there is)", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return StoppedError.exit_code
    except OSError as error:
        print(f"error: {redact(str(error))}", file=sys.stderr)
        return StorageError.exit_code
    except Exception:  # noqa: BLE001  # the last resort: a traceback, but without passwords
        print(redact(traceback.format_exc()), file=sys.stderr, end="")
        return 1


def listing(config_dir: Path, group: str) -> str:
    """The options of a configuration group, each with the first sentence of its file."""
    lines = []
    for file in sorted((config_dir / group).glob("*.yaml")):
        comments = [line[1:].strip() for line in file.read_text().splitlines() if line[:1] == "#"]
        lines.append(f"  {file.stem:<16} {next(line for line in comments if line[:1] != '@')}")
    return "\n".join(lines)
