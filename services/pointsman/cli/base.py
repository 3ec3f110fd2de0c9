"""The application that commands register with, the options that they share, and how they end."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pointsman.cli.output import complain, document
from pointsman.client import FileUnreadable, PointsmanClientError, RequestRejected
from pointsman.router.errors import PointsmanError

DONE, FAILED, USAGE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 130
EXIT = {"done": DONE, "refused": REFUSED}

app = typer.Typer(
    help="Plans a request, sends each part to the best expert, and shows how it was done.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog='Begin with: pointsman run "How many days are there from 3 March to 24 December 2026?"',
)


class Preference(StrEnum):
    balanced = "balanced"
    quality = "quality"
    cost = "cost"
    latency = "latency"


class Waiting(StrEnum):
    marked = "marked"
    effects = "effects"
    never = "never"


class Part(StrEnum):
    gateway = "gateway"
    controller = "controller"
    worker = "worker"


Request = Annotated[str, typer.Argument(help="What is to be done, in plain language.")]
Files = Annotated[
    list[Path] | None,
    typer.Option("--file", "-f", help="A file to send along, or a folder; can be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="POINTSMAN_URL",
        help="The server to ask. Default: the one running here, else one for this command only.",
    ),
]
Home = Annotated[
    Path | None,
    typer.Option(envvar="POINTSMAN_HOME", help="Where runs and files are kept on this machine."),
]
Prefer = Annotated[Preference, typer.Option(help="What counts when an expert is chosen.")]
Thread = Annotated[
    str | None, typer.Option(help="A conversation to go on with; a name of your own.")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run, as `runs` shows it.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")]
Rows = Annotated[int, typer.Option(min=0, help="Rows of a table to show; 0: all.")]
SaveTo = Annotated[
    Path | None, typer.Option("--save", help="A folder to keep the results in, as files.")
]


@contextmanager
def errors(*, as_json: bool, debug: bool) -> Iterator[None]:
    """Turns the client's errors into one line and an exit code; Ctrl-C says that the run was cancelled."""
    try:
        yield
    except PointsmanClientError as error:
        if debug:
            raise
        usage = isinstance(error, FileUnreadable) or (
            isinstance(error, RequestRejected) and error.fault == "caller"
        )
        if as_json:
            code = getattr(error, "code", type(error).__name__)
            document({"error": {"code": code, "message": str(error)}})
        complain(str(error))
        raise typer.Exit(USAGE if usage else FAILED) from error
    except KeyboardInterrupt:
        complain("stopped")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def local_errors(*, debug: bool) -> Iterator[None]:
    """Turns errors of what is done here, without a server, into one line and an exit code."""
    try:
        yield
    except PointsmanError as error:
        if debug:
            raise
        complain(error.message)
        raise typer.Exit(USAGE if error.fault == "caller" else FAILED) from error
