"""The Lua scripts, loaded from the package and called by digest."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from pointsman.router.workspace.calls import ByClient, Calls, lua
from pointsman.router.workspace.connection import FAILURES, redis_errors, unavailable

NAMES = (
    "create",
    "own",
    "post",
    "plan",
    "grow",
    "drop",
    "expand",
    "route",
    "claim",
    "renew",
    "commit",
    "perform",
    "lose",
    "settle",
    "cancel",
    "finish",
    "write",
    "park",
    "intend",
    "ledger",
    "hold",
    "decide",
    "snapshot",
)


class Scripts:
    """EVALSHA with a fall back to EVAL, so that a restarted or replaced server needs nothing from us."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        folder = files("pointsman.router.workspace") / "lua"
        common = (folder / "common.lua").read_text("utf-8")
        texts = {name: common + (folder / f"{name}.lua").read_text("utf-8") for name in NAMES}
        self._scripts = {name: lua(text) for name, text in texts.items()}

    async def __call__(self, name: str, keys: Sequence[str], *args: str | int | float) -> list[Any]:
        """What the script returned: its first element is "ok" or the word for why not."""
        if isinstance(self._calls, ByClient):
            with redis_errors(name):
                return list(await self._calls.script(*self._scripts[name], keys, args))
        try:  # the shared connection loses no cancellation
            return list(await self._calls.script(*self._scripts[name], keys, args))
        except FAILURES as error:
            raise unavailable(name, error) from error
