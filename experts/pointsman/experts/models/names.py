"""Names of people, organizations, places and products in ordinary documents.

A name is a run of capitalised words. What kind of name it is, is told by the words around it (titles, company
forms, prepositions, verbs), and where these say nothing by the nearest of some well-known names, as vectors
of the shared encoder. There is no list that a name must stand on.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pointsman.experts.models.encoder import Encoder, Vectors

KINDS: Final = ("person", "organization", "location", "product")

_CAP = r"(?:[A-ZÀ-ÖØ-Þ][\w’'\-]*[\w]|[A-Z]\.(?=\s?[A-Z])|[A-ZÀ-ÖØ-Þ])"
_INNER = r"(?:of the|of|&|de la|de|da|del|van der|van|von|der|la|le|al|bin)"
RUN = re.compile(rf"{_CAP}(?:(?:[ \t]+(?:{_INNER}[ \t]+)?|[ \t]*&[ \t]*){_CAP})*\.?")
TITLE = re.compile(
    r"^(?:Mr|Mrs|Ms|Miss|Dr|Prof|Professor|Sir|Madam|Lady|Lord|Judge|President|Captain|Rev)\.?\s+"
)
TITLED = re.compile(r"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Rev)\.\s*$")
FORM = re.compile(
    r"\b(?:Ltd|Limited|Inc|Incorporated|LLC|LLP|PLC|plc|Corp|Corporation|Company|Co|AG|GmbH|SE|S\.?A|BV|NV|AB|Oy|KG|SpA|Pty|"
    r"Group|Holdings?|Bank|University|College|Institute|Ministry|Department|Agency|Council|Association|Foundation|"
    r"Partners|Industries|Properties|Systems|Technologies|Solutions|Airlines|Airways|Hospital|Clinic|Commission|"
    r"Committee|Society|Union|Party|Court|Museum|School|Academy|Club|Authority|Board|Bureau|Consulting|Insurance|"
    r"Logistics|Energy|Motors|Pharma\w*|Software|Labs?|Laborator\w+|Studios?|Press|Times|Post|News|Team|Services|Traders|Bakery|Library)\b\.?"
)
PLACE = re.compile(
    r"\b(?:Street|Road|Avenue|Lane|Square|Boulevard|Drive|River|Lake|Mount|Mountains?|Island|Islands|Valley|Bay|City|County|"
    r"Province|State|Airport|Station|Bridge|Park|Beach|Castle|Harbour|Coast)$"
)
HEAD = re.compile(
    r"^(?:Isle|Gulf|Cape|Republic|Kingdom|States?|House|Church|Bank|University|Lord|Order)\b"
)
BEFORE_PLACE = re.compile(
    r"\b(?:in|at|near|via|across|around|outside|through|visit(?:ed|ing)?|based in|city of|town of|flight to|fly to)\s+(?:the\s+|north(?:ern)?\s+|south(?:ern)?\s+|east(?:ern)?\s+|west(?:ern)?\s+)?$",
    re.IGNORECASE,
)
TO_OR_FROM = re.compile(r"\b(?:to|from|towards?)\s+$", re.IGNORECASE)
BEFORE_PERSON = re.compile(
    r"\b(?:dear|hi|hello|by|with|and|tenant|landlord|manager|director|ceo|president|chair\w*|engineer|minister|doctor|analyst|"
    r"author|contact|ask|tell|met|named|called|colleague|friend|husband|wife|son|daughter|signed|mr|ms|mrs)[\s,:]+$",
    re.IGNORECASE,
)
AFTER_PERSON = re.compile(
    r"^,?\s+(?:said|says|told|wrote|writes|reported|will|asked|joined|agreed|explained|added|presented|led|leads|signed|"
    r"called|met|works?|worked|lives?|lived|was born|is (?:the|a|our)|has|had|books?|booked|owns?|announced|replied|born|suggested|proposed|thinks?|takes?|prepares?|decided|who)\b"
)
BEFORE_FIRM = re.compile(
    r"\b(?:works? (?:at|for)|employed by|joined|company|firm|supplier|customer|client|employer|shares of|bought|acquired|"
    r"research at|head of \w+ at|analyst at|between|registered)\s+(?:the\s+)?$",
    re.IGNORECASE,
)
NOT_NAMES: Final = frozenset(
    """a an the i we you he she it they this that these those my our your his her its their there here what which who when
    where why how if in on at by for from to of and or but not no yes please dear hi hello thanks thank regards sincerely
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september
    october november december mon tue wed thu fri sat sun jan feb mar apr jun jul aug sep sept oct nov dec am pm
    each every all any some both either neither after before during since until while because although however
    team meeting invoice total due date amount bill payment order subject re note notes page section article chapter table
    figure agreement contract lease policy report summary agenda minutes action item items next old first second
    english french german spanish italian dutch chinese japanese american british internet ok mr mrs ms miss purchase faq todo q1 q2 q3
    q4 vat tax price cost rent deposit budget version release project plan backup restores backups working home everybody
    one two three four five six seven eight nine ten let can could would should will do does did is are was were have has
    had be been also then than only just more most many much other another today tomorrow yesterday week month year
    christmas easter god mom dad e-mail email phone fax tel www http https usd eur gbp ceo cfo cto hr it pdf csv id no nr""".split()
)
EXAMPLES: Final = {
    "person": """Maria Lopez;John Smith;Anna Schmidt;Peter Novak;Helen Okafor;Priya Nair;Wei Zhang;Ahmed Hassan;Sara;Tom;
        Yuki Tanaka;Olivia Brown;James;Fatima Khan;Lars Jensen;Chloe Martin;Carlos;David Miller;Emma Wilson;Ivan Petrov;
        Kwame Mensah;Sofia Rossi;Angela Merkel;Barack Obama;Albert Einstein;Lucy;Mark;Linda;Michael;Nina""",
    "organization": """Microsoft;Google;Siemens;Toyota;Novartis;United Nations;World Bank;European Union;NASA;UNESCO;Infosys;
        Samsung;Amazon;IBM;Deutsche Bank;Reuters;Red Cross;Greenpeace;Harvard University;BBC;Volkswagen;Apple;Intel;
        Northwind Traders;Acme Industries;Globex;Initech;Contoso;FIFA;NATO""",
    "location": """Berlin;Lisbon;New York;Texas;Switzerland;France;London;Munich;Bangalore;Tokyo;Africa;Asia;Rome;Madrid;
        Chicago;California;Brazil;India;China;Germany;Spain;Paris;Vienna;Oslo;Copenhagen;Dublin;Cairo;Nairobi;Sydney;
        Toronto;Mexico;Boston;Seattle;Frankfurt;Hamburg;Zurich;Geneva;Amsterdam;Brussels;Warsaw;Prague;Budapest""",
    "product": """iPhone;Windows;Surface Pro;Galaxy S21;PlayStation 5;Photoshop;Kindle;Model 3;MacBook Pro;Office 365;
        ThinkPad X1;Nikon D750;Echo Dot;Corolla;Boeing 737""",
}
NEAR_ENOUGH = 0.3
"""Cosine to a well-known name under which nothing is told by it."""


@dataclass(frozen=True, slots=True)
class Name:
    """text[start:end] is a name; kind: one of KINDS."""

    kind: str
    start: int
    end: int
    value: str


class NameReader:
    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: tuple[list[str], Vectors] | None = None

    async def names(
        self, texts: Sequence[str], *, deadline: float | None = None
    ) -> list[list[Name]]:
        """The names of each text, in order."""
        runs = [_runs(text) for text in texts]
        unsure = sorted(
            {v for t, found in zip(texts, runs, strict=True) for s, e in found if (v := t[s:e])}
        )
        near = await self._nearness(unsure, deadline)
        return [
            [n for s, e in found if (n := _judged(text, s, e, near)) is not None]
            for text, found in zip(texts, runs, strict=True)
        ]

    async def _nearness(
        self, phrases: Sequence[str], deadline: float | None
    ) -> dict[str, dict[str, float]]:
        """For each phrase and kind, the mean cosine to its two nearest well-known names."""
        if self._known is None:
            pairs = [(k, n.strip()) for k, names in EXAMPLES.items() for n in names.split(";")]
            vectors = await self._encoder.embed([n for _, n in pairs], deadline=deadline)
            self._known = ([k for k, _ in pairs], vectors)
        if not phrases:
            return {}
        kinds, known = self._known
        similar = await self._encoder.embed(list(phrases), deadline=deadline) @ known.T
        place = {k: np.array([i for i, kind in enumerate(kinds) if kind == k]) for k in KINDS}
        nearest = {k: np.sort(similar[:, at], axis=1)[:, -2:].mean(1) for k, at in place.items()}
        return {p: {k: float(nearest[k][i]) for k in KINDS} for i, p in enumerate(phrases)}


def _runs(text: str) -> list[tuple[int, int]]:
    """Runs of capitalised words that may be names, without what only begins a sentence."""
    found: list[tuple[int, int]] = []
    small = {w for w in re.findall(r"\w+", text) if w.islower()}
    for match in RUN.finditer(text):
        start, end = match.span()
        if text[end - 1] == "." and not re.search(
            r"(?:\b[A-Z]|\b(?:Inc|Ltd|Co|Corp|S\.A))\.$", text[start:end]
        ):
            end -= 1
        start, end = _trimmed(text, start, end)
        if start < end and not _only_begins(text, start, end, small):
            found.append((start, end))
    return found


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Without ordinary words at either end ("The Siemens AG", "On Friday")."""
    start, end = _without_office(text, start, end)
    words = [(m.start() + start, m.end() + start) for m in re.finditer(r"\S+", text[start:end])]
    while words and _ordinary(text[slice(*words[0])]):
        words.pop(0)
    while words and _ordinary(text[slice(*words[-1])]):
        words.pop()
    while words and re.fullmatch(_INNER, text[slice(*words[0])]):
        words.pop(0)
    return (words[0][0], words[-1][1]) if words else (start, start)


def _without_office(text: str, start: int, end: int) -> tuple[int, int]:
    """ "Shares of Microsoft", "Mayor of London": the name follows, unless its head is a body or a place."""
    head = re.match(r"(.+?)\s+(?:of the|of)\s+", text[start:end])
    if (
        head
        and not FORM.search(head.group(1))
        and not PLACE.search(head.group(1))
        and not HEAD.match(head.group(1))
    ):
        start += head.end()
    after = re.match(r"\s+(?:plc|plc\.|e\.V\.|a\.s\.)(?!\w)", text[end : end + 10])
    return start, end + (after.end() if after else 0)


def _ordinary(word: str) -> bool:
    plain = re.sub(r"[’']s$", "", word).strip(".,&").lower()
    return plain in NOT_NAMES or (len(plain) < 2 and not re.fullmatch(r"[A-Z]\.", word))


def _only_begins(text: str, start: int, end: int, small: set[str]) -> bool:
    """A single word at the beginning of a sentence that is written small elsewhere, or is no name alone."""
    value = text[start:end]
    if " " in value or value.isupper():
        return False
    before = text[max(0, start - 80) : start].rstrip(" \t\"'“‘(*#>-•")
    begins = not before or (before[-1] in ".!?:;\n" and not TITLED.search(before + " "))
    if not begins:
        return False
    if value.lower() in small:
        return True
    return not AFTER_PERSON.match(text[end : end + 40]) or bool(
        re.search(r"(?:ing|ed|ly|s)$", value)
    )


def _judged(text: str, start: int, end: int, near: dict[str, dict[str, float]]) -> Name | None:
    value = text[start:end]
    before, after = text[max(0, start - 60) : start], text[end : end + 40]
    score = {
        k: max(0.0, s - NEAR_ENOUGH) * 1.5 for k, s in near.get(value, {}).items()
    } or dict.fromkeys(KINDS, 0.0)
    titled = TITLE.match(value) or TITLED.search(before)
    several = " " in value
    score["person"] += 2.0 if titled else 0.0
    score["organization"] += 1.6 if FORM.search(value) else 0.0
    score["location"] += 1.4 if PLACE.search(value) else 0.0
    score["location"] += 0.45 if BEFORE_PLACE.search(before) else 0.0
    score["location"] += 0.2 if TO_OR_FROM.search(before) else 0.0
    score["person"] += 0.45 if AFTER_PERSON.match(after) else 0.0
    score["person"] += 0.35 if BEFORE_PERSON.search(before) else 0.0
    score["organization"] += 0.4 if BEFORE_FIRM.search(before) else 0.0
    score["organization"] += 0.5 if re.fullmatch(r"[A-Z]{2,6}", value) else 0.0
    score["person"] += (
        0.25
        if several
        and re.fullmatch(r"[A-Z][a-zà-ÿ’'-]+(?: [A-Z]\.?)?(?: [A-Z][\w’'-]+){1,2}", value)
        else 0.0
    )
    score["product"] += 0.5 if re.search(r"\d", value) and not titled else 0.0
    kind = max(KINDS, key=lambda k: score[k])
    if score[kind] < (0.3 if several else 0.4):
        return None
    title = TITLE.match(value)
    if title is not None and " " in value[title.end() :]:
        start += title.end()
    before_title = TITLED.search(before)
    if before_title is not None and not several:
        start -= len(before) - before_title.start()
    return Name(kind, start, end, text[start:end].strip())
