"""Follow-ups: a request that only means something after the turn before it in the same thread.

"how many of those are open?" goes on with what the turn before listed; "the same for Lyon" asks it again with
another value. Either way the turn before becomes part of the request, and only what is new is answered.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pointsman.router.planning.base import Request
from pointsman.router.planning.clauses import BACK, OWN_THAT, POLITE
from pointsman.router.planning.mentions import QUOTED
from pointsman.router.values import FileProfile

AGAIN = re.compile(
    r"^(?:(?:and|now|ok|okay|then|but)\b[\s,]*)*(?:please\s+)?(?:(?:do|show|give|tell|calculate|compute)\s+(?:me\s+)?)?"
    r"(?:the same(?: thing| again| one| question)?(?:\s+(?:but|only|now|please))?|(?:what|how) about|same)"
    r"(?:\s+(?:for|in|of|with|by|per|on))?\s+(?P<new>[^?.!]+)[?.!]*$"
    r"|^(?:and|now)\s+(?P<form>for|in|by|per|with|of|at|on)\s+(?P<other>[^?.!]+)[?.!]*$",
    re.IGNORECASE,
)
GOES_ON = re.compile(
    r"^(?:(?:and|now|then|ok|okay|but)\b[\s,]*)*(?:only|sort|order|group|count|save|export|plot|chart|draw|filter|keep|"
    r"limit|top|just)\b(?!.*\.\w{2,5}\b)",
    re.IGNORECASE,
)
"""Orders that need something to work on, and name no file."""
MONTHS = (
    "january february march april may june july august september october november december"
).split()
LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class FollowUp:
    """The request with what the turn before said. begins: where the new words begin; before it is context."""

    request: Request
    begins: int = 0
    assumptions: tuple[str, ...] = ()


def follow_up(request: Request) -> FollowUp:
    """The request as it is, when it stands on its own or is the first of its thread."""
    if not request.history or len(request.text) > LONGEST:
        return FollowUp(request)
    before = request.history[-1].request.strip()
    if not before or len(before) > LONGEST:
        return FollowUp(request)
    again = AGAIN.match(request.text)
    if again is not None:
        new = (again["new"] or again["other"]).strip()
        text = _with(before, new, request.files)
        return FollowUp(
            replace(request, text=text), 0, (f"taken as {text!r}, after the turn before",)
        )
    if not _points_back(request):
        return FollowUp(request)
    text = f"{before.rstrip(' .!?')}. {request.text}"
    said = f"taken as what follows {before[:100]!r}"
    return FollowUp(replace(request, text=text), len(text) - len(request.text), (said,))


def _points_back(request: Request) -> bool:
    """ "those", "them", an order without an object: means the result of the turn before."""
    core = POLITE.sub("", request.text)
    if GOES_ON.match(core):
        return True
    first = re.split(r"[.?!;]\s|\bthen\b", core, maxsplit=1)[0]
    plain = re.sub(r"\b(?:is|was) it\b|\bit is\b|\bit's\b", "is", first)
    back = BACK.search(OWN_THAT.sub("rows", plain))
    return back is not None and not _has_object(core[: back.start()])


def _has_object(before: str) -> bool:
    """Whether the sentence itself names what "it" would mean: "open the file and sort it"."""
    return bool(re.search(r"\b(?:the|this|my|a|an)\s+\w+.*\band\b", before, re.IGNORECASE))


def _with(before: str, new: str, files: Sequence[FileProfile]) -> str:
    """The turn before with the new value in place of the one of its kind; beside it where there is none."""
    for kind in (_year, _month, _quoted, _number):
        found = kind(before), kind(new)
        if found[0] and found[1]:
            start, end = found[0].span()
            return before[:start] + found[1].group() + before[end:]
    value = _cell(before, new, files)
    if value is not None:
        return re.sub(
            rf"(?<!\w){re.escape(value)}(?!\w)", new, before, count=1, flags=re.IGNORECASE
        )
    return f"{before.rstrip(' .?!')} for {new}"


def _year(text: str) -> re.Match[str] | None:
    return re.search(r"\b(?:19|20)\d\d\b", text)


def _month(text: str) -> re.Match[str] | None:
    return re.search(rf"\b(?:{'|'.join(MONTHS)})\b(?:\s+(?:19|20)\d\d)?", text, re.IGNORECASE)


def _quoted(text: str) -> re.Match[str] | None:
    return QUOTED.search(text)


def _number(text: str) -> re.Match[str] | None:
    return re.search(r"(?<![\w.])\d[\d.,]*\b", text)


def _cell(before: str, new: str, files: Sequence[FileProfile]) -> str | None:
    """A cell's text in the turn before that stands in the column in which the new value stands."""
    wanted = re.sub(r"^(?:the|only)\s+", "", new.casefold()).strip()
    for file in files:
        for values in (file.samples or {}).values():
            cells = {str(v).casefold(): str(v) for v in values}
            here = next((c for k, c in cells.items() if k and k in wanted), None)
            there = [c for k, c in cells.items() if _says(before, k)]
            if here is not None and there:
                return there[0]
    return None


def _says(text: str, cell: str) -> bool:
    return len(cell) > 1 and bool(
        re.search(rf"(?<!\w){re.escape(cell)}(?!\w)", text, re.IGNORECASE)
    )
