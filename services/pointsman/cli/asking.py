"""Asks a person about what waits for approval: exactly what is to be called, and what they say to it."""

import getpass
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from pointsman.cli.output import clean, complain, console, note, seconds
from pointsman.client import Approval, Client, RequestRejected
from pointsman.client.decisions import Decision, Json

SHOWN = 4_000
"""Characters of one argument that are shown on a terminal."""
DECIDED = frozenset({"approval.conflict", "workspace.run-over"})


class Asker:
    """Puts the requests of runs that are followed before the person at the terminal; where there is none, it
    says which one waits and how to decide it.
    """

    def __init__(self, client: Client, *, as_json: bool = False) -> None:
        self._client = client
        self.interactive = not as_json and sys.stdin.isatty() and sys.stderr.isatty()

    def asked(self, approval: Approval) -> None:
        """A request has come up; nothing is done when it was decided already."""
        pending = [a for a in self._client.approvals(approval.run) if a.pending]
        if approval.id not in {a.id for a in pending}:
            return
        if not self.interactive or not self.ask(approval):
            note(_how_to(approval))

    def ask(self, approval: Approval) -> bool:
        """Shows it and takes a decision; false when it is put off. An edit comes up as a request of its own."""
        out = console(error=True)
        out.print()
        out.print(card(approval))
        unknown = approval.why == "unknown-effect"
        while True:
            said = _said(out, WORDS_UNKNOWN if unknown else WORDS)
            match said:
                case "y" | "yes":
                    return self.decide(approval, "approved")
                case "n" | "no":
                    return self.decide(approval, "denied")
                case "e" | "edit":
                    arguments = self._edited(out, approval)
                    if arguments is not None:
                        return self.edit(approval, arguments) is not None
                case "h" | "happened" if unknown:
                    out.print("Its result, as JSON or text: ", end="")
                    return self.decide(approval, "done", value=json_or_text(_line()))
                case "l" | "later" | "":
                    return False
                case _:
                    out.print("One of the letters, please.")

    def decide(self, approval: Approval, decision: Decision, value: Json = None) -> bool:
        """True when it is decided, by us or by somebody before us."""
        try:
            self._client.decide(approval, decision, by=person(), value=value)
        except RequestRejected as error:
            if error.code not in DECIDED:
                raise
            complain(str(error))
        return True

    def edit(self, approval: Approval, arguments: Mapping[str, Any]) -> Approval | None:
        """The new request; None when the arguments cannot be taken."""
        try:
            return self._client.edit(approval, arguments, by=person())
        except RequestRejected as error:
            complain(str(error))
            return None

    def _edited(self, out: Console, approval: Approval) -> dict[str, Any] | None:
        """One argument after the other; an empty line keeps it."""
        edited = dict(approval.arguments)
        for name, value in approval.arguments.items():
            out.print(Text(f"{clean(name)} [{clean(_short(value, 60))}]: "), end="")
            line = _line()
            if line.strip():
                edited[name] = line if isinstance(value, str) else json_or_text(line)
        return edited if edited != approval.arguments else None


WORDS = "[y]es, [n]o, [e]dit, [l]ater? "
WORDS_UNKNOWN = "[h]appened, [y]es, call it again, [n]o, give it up, [l]ater? "


def _said(out: Console, words: str) -> str:
    out.print(Text(words, style="bold"), end="")
    return _line().strip().casefold()


def _line() -> str:
    """A line that the person types; nothing when their input has ended."""
    sys.stderr.flush()
    return sys.stdin.readline().rstrip("\n")


def _how_to(approval: Approval) -> str:
    ways = "--yes, --no or --done RESULT" if approval.why == "unknown-effect" else "--yes or --no"
    return (
        f"{approval.task} waits for approval: {approval.capability} "
        f"{_short(dict(approval.arguments), 300)}\n"
        f"decide with: pointsman approve {approval.run} {approval.id}   ({ways})"
    )


def card(approval: Approval) -> Text:
    """The question, the capability and its exact arguments."""
    text = Text(clean(approval.question), style="bold")
    text.append(f"\n  {clean(approval.capability)}", style="cyan")
    left = max(0.0, approval.expires - time.time())
    about = f"task {approval.task}, {approval.id}, expires in {seconds(left)}"
    text.append(f"  ({clean(about)})", style="dim")
    width = max((len(name) for name in approval.arguments), default=0)
    for name, value in approval.arguments.items():
        text.append(f"\n  {clean(name).ljust(width)}  ", style="dim")
        text.append(
            clean(_argument(value)).replace("\n", "\n" + " " * (width + 4)), style="default"
        )
    return text


def _argument(value: Any) -> str:
    """As JSON, so that a number and its text differ; text of several lines as it stands."""
    if isinstance(value, str) and "\n" in value:
        return _cut(value)
    return _cut(json.dumps(value, ensure_ascii=False, indent=2 if _nested(value) else None))


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list) and len(json.dumps(value)) > 80


def _cut(text: str) -> str:
    if len(text) <= SHOWN:
        return text
    rest = f"{len(text) - SHOWN:,}"
    return (
        f"{text[:SHOWN]}\n… and {rest} more characters; `pointsman approvals RUN --json` shows all"
    )


def _short(value: Any, limit: int) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[:limit]}…"


def json_or_text(text: str) -> Any:
    """What somebody typed: JSON if it is that, else the words themselves."""
    try:
        return json.loads(text, parse_constant=float_only)
    except ValueError:
        return text


def float_only(word: str) -> float:
    """Python's parser takes NaN and Infinity, which are no JSON."""
    raise ValueError(word)


def person() -> str:
    """Who decides: the user of this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "a person"
