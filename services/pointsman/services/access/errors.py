"""Why a request is not let in."""

from pointsman.router.errors import RequestError


class AccessRefused(RequestError):
    """Root of these; `status` is the HTTP status that it stands for."""

    code = "access.refused"
    status = 403


class KeyNeeded(AccessRefused):
    code = "access.key-needed"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            "this server answers to API keys only; send one as `Authorization: Bearer pm_...` "
            "(an operator makes one with `pointsman keys add`)"
        )


class KeyUnknown(AccessRefused):
    """One answer for a key that never was, was revoked or has expired: a stranger learns nothing of which."""

    code = "access.key-unknown"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            "the API key is not valid here: it is unknown, was revoked, or has expired; ask for a new one"
        )


class ScopeMissing(AccessRefused):
    code = "access.scope-missing"

    def __init__(self, scope: str) -> None:
        super().__init__(f"the API key lacks the scope {scope!r}; use one that has it")


class RateLimited(AccessRefused):
    code = "access.rate-limited"
    status = 429
    retryable = True

    def __init__(self, rate: int, retry: float) -> None:
        self.retry_after = retry
        super().__init__(
            f"the API key may ask {rate} times a minute; ask again in {max(1, round(retry))} s"
        )


class BudgetSpent(AccessRefused):
    """what: "cost", "tokens" or "calls"."""

    code = "access.budget-spent"
    status = 429

    def __init__(self, what: str, retry: float) -> None:
        self.what, self.retry_after = what, retry
        super().__init__(
            f"the API key's budget of {what} for today is spent or set aside for work that goes on; "
            "it is whole again at midnight UTC"
        )


class NotOpen(AccessRefused):
    """A start that would let everybody in."""

    code = "access.not-open"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"on {host} others than this machine could reach the server, and there is no API key: make one "
            "with `pointsman keys add NAME`, or say --open if everybody who reaches it may use it"
        )
