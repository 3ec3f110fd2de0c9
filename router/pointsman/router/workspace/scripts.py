"""The Lua scripts, loaded from the package and called by digest."""

from importlib.resources import files
from typing import Any

from pointsman.router.workspace.connection import Redis, redis_errors

NAMES = (
    "create",
    "own",
    "post",
    "plan",
    "expand",
    "route",
    "claim",
    "renew",
    "commit",
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

    def __init__(self, redis: Redis) -> None:
        folder = files("pointsman.router.workspace") / "lua"
        common = (folder / "common.lua").read_text("utf-8")
        self._scripts = {
            name: redis.register_script(common + (folder / f"{name}.lua").read_text("utf-8"))
            for name in NAMES
        }

    async def __call__(self, name: str, keys: list[str], *args: str | int | float) -> list[Any]:
        """What the script returned: its first element is "ok" or the word for why not."""
        with redis_errors(name):
            return list(await self._scripts[name](keys=keys, args=list(args)))
