"""The command line: `pointsman run "..." --file reviews.csv`, and all that belongs to it.

Results go to stdout, all else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (nothing
could be planned), 130 stopped by Ctrl-C.
"""

import os
import sys
import traceback
from collections.abc import Sequence

import typer

from pointsman.cli import checking, commands, deciding, planner  # noqa: F401 - commands register themselves
from pointsman.cli import experts as _experts  # noqa: F401 - its commands register themselves
from pointsman.cli import keys as _keys  # noqa: F401 - its commands register themselves
from pointsman.cli import mcp as _mcp  # noqa: F401 - its commands register themselves
from pointsman.cli import memory as _memory  # noqa: F401 - its commands register themselves
from pointsman.cli import migrating as _migrating  # noqa: F401 - its commands register themselves
from pointsman.cli import routing as _routing  # noqa: F401 - its commands register themselves
from pointsman.cli import tools as _tools  # noqa: F401 - its commands register themselves
from pointsman.cli import workflows as _workflows  # noqa: F401 - its commands register themselves
from pointsman.cli.base import app
from pointsman.cli.output import complain

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
"""Beside torch's threads those of numpy only get in the way: learning a scope took 21 s with them, 6 without."""

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point. Ends the process with the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    code: int | None
    try:
        code = app(given, prog_name="pointsman", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has enough
        code = 0
    # the border of the command line: what nobody foresaw is one line too, unless it is asked for
    except Exception as error:  # noqa: BLE001
        code = told(error, debug=debug)
    sys.exit(code or 0)


def told(error: Exception, *, debug: bool) -> int:
    """Says what went wrong; gives the exit code."""
    if debug:
        traceback.print_exception(error)
    show = getattr(error, "show", None)
    if show is not None:  # wrong usage, found by the parser
        show()
    else:
        complain(str(error) or type(error).__name__)
    return int(getattr(error, "exit_code", 1))


__all__ = ["app", "main"]
