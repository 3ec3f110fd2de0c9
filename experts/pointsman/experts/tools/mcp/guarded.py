"""The guard of addresses for the HTTP client that the MCP library uses: one request, carried over and back."""

from collections.abc import AsyncIterator, Sequence

import httpx
import httpx2

from pointsman.experts.tools.guard import GuardedTransport

LARGEST = 16 << 20
"""Bytes of one answer that is no stream of events."""


class Guarded(httpx2.AsyncBaseTransport):
    """allow: "host:port" that may be called although not public. headers: put on below the client that logs."""

    def __init__(self, allow: Sequence[str], headers: dict[str, str], origin: httpx2.URL) -> None:
        self._inner = GuardedTransport(allow)
        self._headers = headers
        self._origin = (origin.scheme, origin.host, origin.port)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        headers = [(k, v) for k, v in request.headers.multi_items() if k != "accept-encoding"]
        if (url.scheme, url.host, url.port) == self._origin:
            headers += self._headers.items()
        sent = httpx.Request(
            request.method,
            str(url),
            headers=[*headers, ("Accept-Encoding", "identity")],
            content=await request.aread(),
            extensions={"timeout": dict(request.extensions.get("timeout", {}))},
        )
        try:
            answer = await self._inner.handle_async_request(sent)
        except httpx.ConnectError as error:
            raise httpx2.ConnectError(str(error)) from None
        except httpx.TimeoutException as error:
            raise httpx2.ReadTimeout(str(error)) from None
        except httpx.TransportError as error:
            raise httpx2.ReadError(str(error)) from None
        return httpx2.Response(
            answer.status_code,
            headers=answer.headers.raw,
            stream=_Body(answer, events="event-stream" in answer.headers.get("content-type", "")),
            request=request,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, answer: httpx.Response, *, events: bool) -> None:
        self._answer = answer
        self._events = events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        assert isinstance(self._answer.stream, httpx.AsyncByteStream)
        try:
            async for chunk in self._answer.stream:
                size += len(chunk)
                if size > LARGEST and not self._events:
                    raise httpx2.ReadError(f"the answer is larger than {LARGEST >> 20} MiB")
                yield chunk
        except httpx.TransportError as error:
            raise httpx2.ReadError(str(error)) from None

    async def aclose(self) -> None:
        await self._answer.aclose()
