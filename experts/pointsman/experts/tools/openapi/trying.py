"""Every operation called once on a server made from the description itself."""

import contextlib
import tempfile
import time
from pathlib import Path

from pointsman.experts.base import Call
from pointsman.experts.files import LocalFiles
from pointsman.experts.tools.openapi.expert import ApiExpert
from pointsman.experts.tools.openapi.operations import Api
from pointsman.experts.tools.openapi.registered import ApiIn
from pointsman.experts.tools.openapi.samples import NoSample, invalid_arguments, valid_arguments
from pointsman.experts.tools.openapi.server import ToolServer
from pointsman.router.errors import BadArguments, ExpertError

SECONDS = 10.0


async def tried(given: ApiIn, api: Api) -> dict[str, str]:
    """What went wrong, by operation: a valid call that is refused or not answered as described, an invalid one that
    is sent. Without credentials, and without leaving this machine.
    """
    faults: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = LocalFiles(Path(folder))
        async with ToolServer(api) as server:
            here = {"url": server.url, "allow": (server.url.removeprefix("http://"),)}
            alone = given.model_copy(
                update={**here, "auth": {}, "tenants": {}, "pages": 1, "check": "strict"}
            )
            expert = ApiExpert(alone, api)
            try:
                for name in expert.offered:
                    why = await _one(expert, server, name, files)
                    if why:
                        faults[expert.offered[name].operation.key] = why
            finally:
                await expert.close()
    return faults


async def _one(expert: ApiExpert, server: ToolServer, name: str, files: LocalFiles) -> str:
    offered = expert.offered[name]
    try:
        for whole in (False, True):
            valid = valid_arguments(offered.requests, offered.requests.schemas, whole=whole)
            await expert.run(Call(name, valid, files, time.time() + SECONDS))
    except NoSample:
        return "no arguments that fit its schema were found"
    except ExpertError as error:
        return error.message
    sent = len(server.seen)
    wrong = invalid_arguments(offered.operation, valid)
    with contextlib.suppress(BadArguments):
        await expert.run(Call(name, wrong, files, time.time() + SECONDS))
    return "" if len(server.seen) == sent else "arguments that do not fit are sent"
