"""The gateway as an ASGI application."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from pointsman.experts.files import LocalFiles
from pointsman.router.planning.llm.settings import RemoteSettings
from pointsman.router.workspace import Workspace
from pointsman.services.access.door import Door
from pointsman.services.api import (
    approvals,
    capabilities,
    chat,
    dead_letters,
    embeddings,
    errors,
    files,
    health,
    keys,
    memory,
    responses,
    runs,
)
from pointsman.services.api.gateway import ApiSettings, Embedding, Gateway
from pointsman.services.api.guard import Guard
from pointsman.services.api.profiles import Profiles
from pointsman.services.api.remotes import Remotes

UI = Path(__file__).parent.parent / "ui"
REVALIDATE = {"Cache-Control": "no-cache"}


class Page(StaticFiles):
    """The chat page's files; a browser asks each time whether they changed."""

    def file_response(self, *args: object, **kwargs: object):  # type: ignore[no-untyped-def]
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers.update(REVALIDATE)
        return response


def create_app(
    workspace: Workspace,
    files_: LocalFiles,
    settings: ApiSettings | None = None,
    *,
    remotes: Mapping[str, RemoteSettings] | None = None,
    embedders: Mapping[str, Embedding] | None = None,
) -> FastAPI:
    """The application. remotes: models that chat requests are passed through to, by name. embedders: models of
    /v1/embeddings that are here. It owns neither the workspace nor the files; whoever made them closes them.

    `app.state.gateway.closing` is to be set when the server begins to stop: open streams then end at
    once. `pointsman.services.api.server.Server` does so.
    """
    settings = settings or ApiSettings()
    door = Door(workspace, anonymous=settings.anonymous)
    passing = Remotes(remotes)
    gateway = Gateway(workspace, files_, settings, Profiles(files_), door, passing, embedders or {})

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await passing.close()

    app = FastAPI(
        title="Pointsman",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        lifespan=lifespan,
    )
    app.state.gateway = gateway
    errors.install(app)
    app.add_middleware(Guard, gateway=gateway)
    for noun in (
        runs,
        keys,
        memory,
        approvals,
        dead_letters,
        files,
        chat,
        embeddings,
        responses,
        capabilities,
        health,
    ):
        app.include_router(noun.router)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(UI / "index.html", headers=REVALIDATE)

    app.mount("/ui", Page(directory=UI), name="ui")
    return app
