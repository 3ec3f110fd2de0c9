"""How the operator of a machine reaches the keys: on the Redis itself, whoever runs it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.workspace import Workspace, connect
from pointsman.router.workspace.access import Access
from pointsman.services.embedded import EmbeddedRedis
from pointsman.services.settings import Settings


@asynccontextmanager
async def reached(settings: Settings) -> AsyncIterator[Access]:
    """The keys on the Redis that the settings name, else on the one of the server that runs here, else on the
    state that one left, in a Redis that runs until we are done. Raises WorkspaceUnavailable."""
    async with AsyncExitStack() as stack:
        embedded = EmbeddedRedis(settings.redis)
        workspace = Workspace(connect(settings.redis_url or embedded.url))
        try:
            await workspace.ping()
        except WorkspaceUnavailable:
            await workspace.close()
            if settings.redis_url is not None:
                raise
            workspace = Workspace(connect(await stack.enter_async_context(embedded)))
        stack.push_async_callback(workspace.close)
        yield workspace.access
