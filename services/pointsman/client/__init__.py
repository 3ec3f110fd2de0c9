"""Pointsman from Python.

from pointsman.client import Client

with Client() as client:
    answer = client.run("Find the negative reviews and count them by product", files=["reviews.csv"])
    print(answer.text)
"""

from pointsman.client.aio import AsyncClient
from pointsman.client.decisions import Approval, DeadLetter, Effect, Fault
from pointsman.client.errors import (
    BadReply,
    ClientClosed,
    DeadlinePassed,
    FileUnreadable,
    IncompleteTable,
    PointsmanClientError,
    RequestRejected,
    ServerNotStarted,
    ServerUnreachable,
)
from pointsman.client.memory import AsyncMemory, Feedback, Imported, Memory, RememberedPlan
from pointsman.client.results import (
    Answer,
    Budget,
    Capability,
    Event,
    Expert,
    File,
    Part,
    Plan,
    PlanTask,
    Run,
    Step,
    Usage,
)
from pointsman.client.sync import Client

__all__ = [
    "Answer",
    "Approval",
    "AsyncClient",
    "AsyncMemory",
    "BadReply",
    "Budget",
    "Capability",
    "Client",
    "ClientClosed",
    "DeadLetter",
    "DeadlinePassed",
    "Effect",
    "Event",
    "Expert",
    "Fault",
    "Feedback",
    "File",
    "FileUnreadable",
    "Imported",
    "IncompleteTable",
    "Memory",
    "Part",
    "Plan",
    "PlanTask",
    "PointsmanClientError",
    "RememberedPlan",
    "RequestRejected",
    "Run",
    "ServerNotStarted",
    "ServerUnreachable",
    "Step",
    "Usage",
]
