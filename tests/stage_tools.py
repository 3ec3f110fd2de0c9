"""A whole Pointsman behind the gateway, whose tools have effects outside, and a planner that knows a request
by a word in it.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving import serving
from stage import gateway, in_thread

from pointsman.experts.base import Call
from pointsman.experts.tools.functions import Tool, ToolExpert, capability
from pointsman.router.catalog import Catalog
from pointsman.router.errors import ExpertFailed
from pointsman.router.plan import parse_plan
from pointsman.router.planning.base import Proposal, Refusal, Request
from pointsman.router.workspace import Workspace, connect
from pointsman.services.embedded import EmbeddedRedis


@dataclass
class Outside:
    """What the tools did. fails: answers of the bank that are lost on their way. broken: the mill is down."""

    sent: list[tuple[str, str]] = field(default_factory=list)
    charged: list[tuple[float, str]] = field(default_factory=list)
    lost_answers: int = 0
    broken: bool = False

    def tools(self) -> list[Tool]:
        @capability("note.keep", title="keep a note")
        def keep(text: str) -> str:
            """Keeps a text as it is."""
            return text

        @capability("mail.send", title="send a mail", effect="once", approval=True)
        def send(to: str, text: str) -> dict[str, Any]:
            """Sends a mail to somebody."""
            self.sent.append((to, text))
            return {"to": to, "characters": len(text)}

        @capability("bank.charge", title="charge a card", effect="once")
        def charge(amount: float, call: Call) -> dict[str, Any]:
            """Charges a card."""
            self.charged.append((amount, call.idempotency_key))
            if self.lost_answers:
                self.lost_answers -= 1
                raise ConnectionError("the bank's answer was lost")
            return {"receipt": len(self.charged)}

        @capability("mill.grind", title="grind")
        def grind(text: str) -> str:
            """Grinds a text."""
            if self.broken:
                raise ExpertFailed("the mill is down")
            return text.upper()

        return [keep, send, charge, grind]


def task(id: str, capability: str, title: str, **arguments: Any) -> dict[str, Any]:
    return {"id": id, "capability": capability, "title": title, "arguments": arguments}


MAIL = {
    "tasks": [
        task("write", "note.keep", "Write the mail", text="The <b>minutes</b> are attached."),
        task("send", "mail.send", "Send the mail", to="ada@example.org", text={"$task": "write"}),
        task("aside", "note.keep", "Note it down", text="asked to send"),
    ],
    "answer": ["send"],
}
CHARGE = {"tasks": [task("charge", "bank.charge", "Charge the card", amount=12.5)]}
GRIND = {
    "tasks": [
        task("fetch", "note.keep", "Fetch the grain", text="grain"),
        task("grind", "mill.grind", "Grind the grain", text={"$task": "fetch"}),
    ],
    "answer": ["grind"],
}
EACH = {
    "tasks": [
        {
            **task("each", "note.keep", "Keep each", text={"$item": ""}),
            "for_each": {"over": ["a", "b", "c"], "limit": 9},
        }
    ]
}
MAILS = {
    "tasks": [
        {
            **task("mails", "mail.send", "Send to each", to={"$item": ""}, text="Hello"),
            "for_each": {"over": ["a@example.org", "b@example.org", "c@example.org"], "limit": 9},
        }
    ]
}
PLANS = {"round": MAILS, "mail": MAIL, "charge": CHARGE, "grind": GRIND, "each": EACH}


class WordPlanner:
    """The plan whose word the request contains, as long as there is who serves it."""

    name = "words"

    async def plan(self, request: Request, catalog: Catalog) -> Proposal:
        for word, plan in PLANS.items():
            if word in request.text and all(t["capability"] in catalog for t in plan["tasks"]):
                return Proposal(parse_plan({**plan, "source": "words", "confidence": 1.0}), 1.0)
        return Proposal(Refusal("I cannot do that", ()), 0.0)


@contextlib.asynccontextmanager
async def whole(folder: Path, outside: Outside) -> AsyncIterator[str]:
    """The address of a gateway with a controller, a worker and a Redis of its own behind it."""
    expert = ToolExpert("outside", "Acts outside", outside.tools())
    async with EmbeddedRedis(folder / "redis") as url:
        workspace = Workspace(connect(url))
        try:
            async with (
                serving(workspace, url, folder / "files", [expert], WordPlanner()),
                gateway(workspace, folder) as server,
            ):
                yield server.address
        finally:
            await workspace.close()


@contextlib.contextmanager
def whole_in_thread(folder: Path, outside: Outside) -> Iterator[str]:
    with in_thread(whole(folder, outside)) as address:
        yield address
