"""How fast a service wants to be called: `Retry-After` (RFC 9110, 10.2.3) and the headers of rate limits."""

import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST = 3600.0
"""Seconds of a wait that we believe."""
PATIENCE = 5.0
"""Seconds that a call waits by itself; a longer wait is told, and the task is tried again later."""
EPOCH = 1e8
"""A reset beyond this is a point in time, not a number of seconds."""


def wait_asked(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds after which the service may be asked again; None when it does not say."""
    said = headers.get("retry-after")
    if said is not None:
        found = _seconds(said, now)
        if found is not None:
            return found
    remaining = headers.get("x-ratelimit-remaining") or headers.get("ratelimit-remaining")
    reset = headers.get("x-ratelimit-reset") or headers.get("ratelimit-reset")
    if remaining is not None and reset is not None and remaining.strip() == "0":
        return _seconds(reset, now)
    return None


def _seconds(text: str, now: float) -> float | None:
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        number = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now
        return max(0.0, min(LONGEST, number))
    if not 0 <= number < 1e12:
        return None
    wait = number - now if number > EPOCH else number
    return max(0.0, min(LONGEST, wait))


class Pace:
    """When one service may be called next. Times are seconds since the epoch."""

    def __init__(self) -> None:
        self._not_before = 0.0

    def heard(self, headers: Mapping[str, str], *, refused: bool) -> float:
        """What an answer says of the next call: seconds to wait, 0 when nothing."""
        wait = wait_asked(headers, time.time())
        if wait is None:
            return 1.0 if refused else 0.0
        self._not_before = max(self._not_before, time.time() + wait)
        return wait

    @property
    def wait(self) -> float:
        """Seconds until the next call."""
        return max(0.0, self._not_before - time.time())
