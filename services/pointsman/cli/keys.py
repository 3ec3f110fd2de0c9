"""`pointsman keys`: API keys, made and taken back on the Redis of the server, whose operator needs none."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.table import Table
from rich.text import Text

from pointsman.cli.base import FAILED, USAGE, Debug, Home, Json, app, errors
from pointsman.cli.listing import moment
from pointsman.cli.output import clean, complain, console, document, dollars, note

if TYPE_CHECKING:
    from pointsman.router.workspace.access import Access

T = TypeVar("T")
WHO = "the command line"
UNITS = {"m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}

group = typer.Typer(
    help="API keys: who may use the server, and for how much.", no_args_is_help=True
)
app.add_typer(group, name="keys")

RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis-url",
        envvar="POINTSMAN_REDIS_URL",
        help="The Redis of the server. Default: that of this machine's.",
    ),
]
Id = Annotated[str, typer.Argument(metavar="KEY", help="A key's id, as `list` shows it.")]


@group.command(
    epilog="Example: pointsman keys add 'nightly reports' --tenant sales --expires 90d --cost 5"
)
def add(
    name: Annotated[str, typer.Argument(help="What to tell it apart by.")],
    tenant: Annotated[str, typer.Option(help="Whose runs and files it opens.")] = "default",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may do; can be repeated: runs, approvals, files, models, metrics, admin. "
            "Default: the first four."
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="Until then it is good: 30m, 12h, 90d, or 2027-01-31.")
    ] = None,
    cost: Annotated[float | None, typer.Option(min=0, help="Dollars a day (UTC).")] = None,
    tokens: Annotated[int | None, typer.Option(min=0, help="Tokens a day.")] = None,
    calls: Annotated[int | None, typer.Option(min=0, help="Requests for work a day.")] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="Requests a minute.")] = None,
    redis_url: RedisUrl = None,
    as_json: Json = False,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Make a key. It is shown once: only its digest is kept."""
    from pointsman.router.workspace.access import Limits
    from pointsman.services.access.acts import made
    from pointsman.services.access.keys import ORDINARY

    limits = Limits(None if cost is None else round(cost * 1e6), tokens, calls, rate)
    until = _moment(expires)
    key, token = _on(
        redis_url,
        home,
        lambda access: made(
            access,
            name,
            by=WHO,
            tenant=tenant,
            scopes=scope or ORDINARY,
            expires=until,
            limits=limits,
        ),
        as_json=as_json,
        debug=debug,
    )
    if as_json:
        document({**key.to_json(), "token": token})
    else:
        note(f"key {key.id} for {key.name!r}, tenant {key.tenant}; this is shown once:")
        typer.echo(token)


@group.command("list")
def listing(
    redis_url: RedisUrl = None, as_json: Json = False, home: Home = None, debug: Debug = False
) -> None:
    """List keys with what each has spent today."""
    from pointsman.router.workspace.access import day_of
    from pointsman.services.access.acts import listed

    day = day_of(time.time())
    found = _on(redis_url, home, lambda a: listed(a, day), as_json=as_json, debug=debug)
    if as_json:
        document({"keys": found})
    elif found:
        console().print(_table(found))
    else:
        note("there is no key; make one with `pointsman keys add NAME`")


@group.command()
def revoke(
    key: Id,
    redis_url: RedisUrl = None,
    as_json: Json = False,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """From the next request on the key opens nothing."""
    from pointsman.services.access.acts import revoked

    done = _on(redis_url, home, lambda a: revoked(a, key, by=WHO), as_json=as_json, debug=debug)
    _there(done, key)
    if as_json:
        document({"id": key, "revoked": True})
    else:
        note(f"revoked: {key}")


@group.command()
def rotate(
    key: Id,
    overlap: Annotated[
        str, typer.Option(help="For so long the secret before is good too: 0m, 12h, 7d.")
    ] = "24h",
    redis_url: RedisUrl = None,
    as_json: Json = False,
    home: Home = None,
    debug: Debug = False,
) -> None:
    """Give a key another secret. It is shown once."""
    from pointsman.services.access.acts import rotated

    span = _span(overlap)
    if span is None:
        complain(f"--overlap: {overlap!r} is no span of time; write 0m, 12h or 7d")
        raise typer.Exit(USAGE)
    token = _on(
        redis_url,
        home,
        lambda a: rotated(a, key, by=WHO, overlap=span),
        as_json=as_json,
        debug=debug,
    )
    _there(token, key)
    if as_json:
        document({"id": key, "token": token})
    else:
        note(f"key {key}; the secret before is good for {overlap}. This is shown once:")
        typer.echo(token)


def _on(
    redis_url: str | None,
    home: Path | None,
    act: "Callable[[Access], Awaitable[T]]",
    *,
    as_json: bool,
    debug: bool,
) -> T:
    """Does it on the server's Redis; one of the home's own is started for the moment when none runs."""
    from pointsman.router.errors import PointsmanError, RequestError
    from pointsman.services.access.reaching import reached
    from pointsman.services.settings import Settings

    given: dict[str, Any] = {"home": home, "redis_url": redis_url}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})

    async def done() -> T:
        async with reached(settings) as access:
            return await act(access)

    with errors(as_json=as_json, debug=debug):
        try:
            return asyncio.run(done())
        except PointsmanError as error:
            if debug:
                raise
            complain(error.message)
            raise typer.Exit(USAGE if isinstance(error, RequestError) else FAILED) from error


def _there(done: object, key: str) -> None:
    if not done:
        complain(f"there is no key {key!r}; see `pointsman keys list`")
        raise typer.Exit(FAILED)


def _span(text: str) -> float | None:
    """Seconds."""
    found = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    return None if found is None else int(found[1]) * UNITS[found[2]]


def _moment(text: str | None) -> float | None:
    """Seconds since the epoch. Ends with a line when it cannot be read."""
    if text is None:
        return None
    span = _span(text)
    if span is not None:
        return time.time() + span
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        complain(f"--expires: {text!r} is no time; write 30m, 12h, 90d or 2027-01-31")
        raise typer.Exit(USAGE) from error


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("key", no_wrap=True)
    for name in ("name", "tenant", "scopes", "until", "spent today"):
        table.add_column(name, overflow="fold")
    for one in found:
        table.add_row(
            one["id"],
            Text(clean(one["name"])),
            one["tenant"],
            " ".join(one["scopes"]),
            _until(one),
            _spent(one),
        )
    return table


def _until(one: dict[str, Any]) -> str:
    if one["revoked"] is not None:
        return "revoked"
    if one["expires"] is None:
        return "revoked by hand"
    return moment(one["expires"]) + (" (over)" if one["expires"] <= time.time() else "")


def _spent(one: dict[str, Any]) -> str:
    spent, caps = one["spent"], one["limits"]
    parts = [
        f"{shown}{'' if caps[what] is None else ' of ' + cap}"
        for what, shown, cap in (
            ("cost", dollars(spent["cost"]), dollars(caps["cost"] or 0)),
            ("tokens", f"{spent['tokens']:,} tokens", f"{caps['tokens'] or 0:,}"),
            ("calls", f"{spent['calls']:,} calls", f"{caps['calls'] or 0:,}"),
        )
    ]
    return ", ".join(parts)
