"""The workspace's own check, on the Redis that the settings name or that the server here runs."""

from pointsman.router.errors import WorkspaceUnavailable
from pointsman.router.workspace import Workspace, connect
from pointsman.router.workspace.artifacts import ArtifactLedger, Artifacts
from pointsman.router.workspace.findings import Finding
from pointsman.router.workspace.fsck import fsck
from pointsman.services.embedded import EmbeddedRedis
from pointsman.services.settings import Settings


async def checked(settings: Settings, run: str | None) -> list[Finding]:
    """Raises WorkspaceUnavailable, RunNotFound."""
    url = settings.redis_url or EmbeddedRedis(settings.redis).url
    redis = connect(url)
    artifacts = ArtifactLedger(redis, Artifacts(settings.artifact_place))
    workspace = Workspace(redis, artifacts=artifacts)
    try:
        await workspace.ping()
        return await fsck(workspace, run=run)
    except WorkspaceUnavailable as error:
        if settings.redis_url is not None:
            raise
        raise WorkspaceUnavailable(
            f"no server is running on the folder {str(settings.home)!r}: start one with "
            "`pointsman serve`, or name a Redis with --redis-url"
        ) from error
    finally:
        await workspace.close()
