"""A migration by itself, on a Redis that is named."""

from pointsman.router.workspace import connect
from pointsman.router.workspace.layout import migrate


async def migrated(url: str) -> tuple[int, int]:
    """(layout before, layout after). Raises WorkspaceUnavailable, OtherLayout, MigrationUnderWay."""
    redis = connect(url)
    try:
        return await migrate(redis)
    finally:
        await redis.aclose()
