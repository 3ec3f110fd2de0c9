"""Every error that the client raises on purpose, in one tree.

PointsmanClientError
├── ServerUnreachable    no server answers, also after trying again
├── ServerNotStarted     a server of our own did not start; the message ends with its last words
├── RequestRejected      a server answered with an error: `code`, `status`, `fault`, `retryable`
├── BadReply             a server answered what no Pointsman would
├── DeadlinePassed       a run did not end in the time that it was given
├── FileUnreadable       a file to be sent cannot be read here
├── IncompleteTable      the table has more rows than came with the answer
└── ClientClosed         the client was used after it was closed

What a run came to is no error: a run that failed or was refused gives an Answer that says so.
"""


class PointsmanClientError(Exception):
    """Root of the tree; the message says what, where and what to do next."""


class ServerUnreachable(PointsmanClientError):
    def __init__(self, address: str, why: str) -> None:
        self.address = address
        super().__init__(f"the server at {address} does not answer: {why}")


class ServerNotStarted(PointsmanClientError):
    """`log`: the end of what the server wrote."""

    def __init__(self, why: str, log: str = "") -> None:
        self.log = log
        super().__init__(f"{why}; it said:\n{log}" if log else why)


class RequestRejected(PointsmanClientError):
    """fault: "caller", "plan", "expert" or "us", as the server says."""

    def __init__(
        self, status: int, code: str, message: str, fault: str, *, retryable: bool = False
    ) -> None:
        self.status, self.code, self.message = status, code, message
        self.fault, self.retryable = fault, retryable
        super().__init__(message)


class BadReply(PointsmanClientError):
    def __init__(self, address: str, why: str) -> None:
        self.address = address
        super().__init__(f"what answers at {address} does not speak like a Pointsman: {why}")


class DeadlinePassed(PointsmanClientError):
    def __init__(self, run: str, seconds: float) -> None:
        self.run, self.seconds = run, seconds
        super().__init__(f"run {run!r} did not end within {seconds:g} s and was cancelled")


class FileUnreadable(PointsmanClientError):
    def __init__(self, name: str, why: str) -> None:
        self.name = name
        super().__init__(f"file {name!r} cannot be read: {why}")


class IncompleteTable(PointsmanClientError):
    def __init__(self, task: str, here: int, all: int) -> None:
        self.task = task
        super().__init__(
            f"the result of {task!r} has {all:,} rows, {here:,} of which came with the answer; "
            f"download(run, {task!r}, 'csv') gives them all"
        )


class ClientClosed(PointsmanClientError):
    def __init__(self) -> None:
        super().__init__("the client is closed; make another")
