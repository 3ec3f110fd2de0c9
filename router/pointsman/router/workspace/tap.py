"""A subscription on a connection of its own: what is published is told in the very turn it arrives."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import hiredis
from redis import exceptions

from pointsman.router.workspace.address import Address
from pointsman.router.workspace.wire import Wire, made, packed

Heard = Callable[[str, str, str], None]


class Tap(Wire):
    """Follows channels of one server until it is lost. Its pushes are told as (kind, channel, text)."""

    def __init__(self, address: Address, heard: Heard) -> None:
        super().__init__(address)
        self._tell = heard

    @classmethod
    async def on(cls, address: Address, channels: Sequence[str], heard: Heard) -> "Tap":
        """Raises ConnectionError, TimeoutError, AuthenticationError."""
        tap = await made(address, cls(address, heard))
        tap.say("SUBSCRIBE", *channels)
        return tap

    def say(self, *command: str) -> None:
        """A command whose answer comes as a push. Raises ConnectionError."""
        if self._lost or self._transport is None:
            raise self._away()
        self._transport.write(packed(command))

    def silence(self) -> float:
        """Seconds since anything was heard."""
        return self._loop.time() - self._heard

    async def lost(self) -> None:
        """Returns when the connection is."""
        await self._gone.wait()

    def data_received(self, data: bytes) -> None:
        if self._waiting:  # it still says who we are
            super().data_received(data)
            return
        self._heard = self._loop.time()
        self._reader.feed(data)
        try:
            while isinstance(push := self._reader.gets(), list):
                kind, *rest = push
                with suppress(ValueError):
                    channel, text = rest
                    self._tell(str(kind), str(channel), str(text))
        except (UnicodeDecodeError, hiredis.ProtocolError, exceptions.InvalidResponse) as error:
            self.drop(f"its answers make no sense: {error}")
