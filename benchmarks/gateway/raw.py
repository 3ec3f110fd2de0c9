"""The least that a proxy can be, on aiohttp: python -m benchmarks.gateway.raw PORT_OF_THE_MODEL."""

import asyncio
import sys

import aiohttp
from aiohttp import web

SESSION = web.AppKey("session", aiohttp.ClientSession)


async def handle(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    session = request.app[SESSION]
    headers = {"Content-Type": "application/json"}
    async with session.post(MODEL, data=body, headers=headers) as answer:
        if answer.content_length is not None:
            content = await answer.read()
            return web.Response(body=content, content_type="application/json")
        made = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await made.prepare(request)
        async for piece in answer.content.iter_any():
            await made.write(piece)
        await made.write_eof()
        return made


async def _serve() -> None:
    app = web.Application()
    app[SESSION] = aiohttp.ClientSession(auto_decompress=False)
    app.router.add_post("/v1/chat/completions", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await app[SESSION].close()
    await runner.cleanup()


if __name__ == "__main__":
    import uvloop

    MODEL = f"http://127.0.0.1:{sys.argv[1]}/v1/chat/completions"
    uvloop.run(_serve())
