"""`pointsman fsck`: every promise of the workspace, checked on the live server."""

import asyncio
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pointsman.cli.base import DONE, FAILED, Debug, Home, Json, app, errors
from pointsman.cli.output import console, document, note

if TYPE_CHECKING:
    from pointsman.router.workspace.findings import Finding

Run = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="One run; all of them by default.")
]
RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis-url",
        envvar="POINTSMAN_REDIS_URL",
        help="The Redis to check. Default: that of the server running here.",
    ),
]


@app.command(epilog="Exit code: 0 all is well (warnings may be told), 1 a promise is broken.")
def fsck(
    run_id: Run = None,
    redis_url: RedisUrl = None,
    as_json: Json = False,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Check every promise of the workspace on the live server, and say what is wrong."""
    from pointsman.services.checking import checked  # Redis and all that: not for every command
    from pointsman.services.settings import Settings

    given: dict[str, Any] = {"home": home, "redis_url": redis_url}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    with errors(as_json=as_json, debug=debug):
        found = asyncio.run(checked(settings, run_id))
    if as_json:
        document([asdict(f) for f in found])
    else:
        _tell(found)
    broken = any(f.severity == "error" for f in found)
    raise typer.Exit(FAILED if broken else DONE)


def _tell(found: "list[Finding]") -> None:
    if not found:
        note("all promises hold")
        return
    table = Table("", "rule", "run", "task", "what", box=None, pad_edge=False)
    for one in found:
        style = "red" if one.severity == "error" else "yellow"
        table.add_row(one.severity, one.rule, one.run, one.task, one.what, style=style)
    console().print(table)
    counts = Counter(f.severity for f in found)
    note(", ".join(f"{count} {severity}s" for severity, count in sorted(counts.items())))
