"""`pointsman migrate`: what is in Redis, brought to the layout of this release."""

import asyncio
from typing import Annotated

import typer

from pointsman.cli.base import Debug, app, errors
from pointsman.cli.output import note

RedisUrl = Annotated[
    str,
    typer.Option(
        "--redis-url", envvar="POINTSMAN_REDIS_URL", help="The Redis to bring up to date."
    ),
]


@app.command(epilog="Stop every process on that Redis and take a backup first; see docs/deploy.md.")
def migrate(redis_url: RedisUrl, debug: Debug = False) -> None:
    """Bring what is in a Redis to the layout of this release. The embedded one is brought there by itself."""
    from pointsman.services.migrating import migrated  # Redis and all that: not for every command

    with errors(as_json=False, debug=debug):
        before, after = asyncio.run(migrated(redis_url))
    note(f"layout {after} already" if before == after else f"layout {before} became {after}")
