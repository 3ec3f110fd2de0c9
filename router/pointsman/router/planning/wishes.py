"""What a clause wishes of texts: sentiment words, what a criterion is, kinds of entities, how many."""

import re

from pointsman.router.planning.arguments.lists import limit, quoted

_POSITIVE = r"positive|favou?rable|happy|satisfied|pleased|good|praising|enthusiastic"
_NEGATIVE = (
    r"negative|unfavou?rable|unhappy|dissatisfied|displeased|disappointed|bad|critical|complaining"
)
_ABOUT = (
    r"reviews?|comments?|feedback|opinions?|messages?|tickets?|customers?|posts?|tweets?|responses?|"
    r"answers?|sentences?|ones?|texts?|sentiments?|entries|remarks?|mails?|e-?mails?|replies|quotes?|lines?|people|users?|buyers?"
)
SENTIMENT = re.compile(
    rf"\b(?P<word>{_POSITIVE}|{_NEGATIVE}|neutral)\b(?=\s+(?:\w+\s+)?(?:{_ABOUT})\b)"
    rf"|\b(?:{_ABOUT})\b[^.?!]{{0,40}}?\b(?:is|are|were|was|sound|seem|look|rated?|feel|be|as)\s+(?:\w+\s+)?(?P<after>{_POSITIVE}|{_NEGATIVE}|neutral)\b"
    r"|\b(?P<plain>positive|negative|neutral)(?:ly)?\b",
    re.IGNORECASE,
)
COMPLAINTS = re.compile(
    r"\b(?:complain\w*|moan\w*|grip(?:e|es|ing)|pain points?|grievances?|dissatisf\w+|dislike\w*|hate\w*|unhappy)\b",
    re.IGNORECASE,
)
PROBLEMS = re.compile(r"\b(?:problems?|issues|troubles?|difficult(?:y|ies))\b", re.IGNORECASE)
ARE_COMPLAINTS = re.compile(
    r"\b(?:which|what|who)\b.*\b(?:are|is|were|was|sounds?|seems?|looks?)\s+(?:like\s+)?(?:an?\s+)?complain\w+"
    r"|^\W*(?:find|show|list|get|give me|pick|extract|return|keep|only)\b\s+(?:me\s+)?(?:only\s+)?(?:all\s+)?(?:the\s+)?complaints?\W*$",
    re.IGNORECASE,
)
"""What asks for the texts that are complaints, whatever they are about."""
EMOTION = re.compile(
    r"\b(?:angry|furious|annoyed|irate|upset|frustrated|mad|joyful|sad|afraid|scared|worried|grateful|thankful|"
    r"confused|disgusted|surprised|excited|happy|unhappy|urgent|polite|rude|sarcastic)\b",
    re.IGNORECASE,
)
ABOUT = re.compile(
    r"\b(?:about|regarding|concerning|related to|relating to|on the (?:topic|subject) of|mention(?:s|ing|ed)?|"
    r"talk(?:s|ing)? about|complain(?:s|ing)? (?:about|of)|deal(?:s|ing)? with|to do with|refer(?:s|ring)? to|ask(?:s|ing)? (?:about|for)|"
    r"discuss(?:es|ing)?|report(?:s|ing)?)\s+(?P<topic>[^,.;?!]+)",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"\s+(?:in|from|of|within|inside|among)\s+(?:the\s+|my\s+|these\s+|those\s+|this\s+|our\s+)?(?:[\w./-]+\.\w{2,5}\b|files?|folder|notes?|documents?|tickets?|reviews?|table|list|them|those)\b.*$"
    r"|\s+(?:and|then|please|as well)\s*$",
    re.IGNORECASE,
)
_ENTITY = {
    "person": r"\bnames?\b|\bpeople\b|\bpersons?\b|\bwho\b|\bparticipants?\b|\battendees?\b",
    "organization": r"\bnames?\b|\bcompan(?:y|ies)\b|\borgani[sz]ations?\b|\bfirms?\b|\bparties\b",
    "location": r"\bplaces?\b|\blocations?\b|\bcities\b|\bcity\b|\bcountr(?:y|ies)\b|\baddress(?:es)?\b(?!.*e-?mail)",
    "product": r"\bproducts?\b",
    "date": r"\bdates?\b|\bdeadlines?\b|\bdays\b",
    "time": r"\btimes\b",
    "money": r"\bamounts?\b|\bmoney\b|\bprices?\b|\bcosts?\b|\bsums?\b|\bpayments?\b|\bfees?\b",
    "percent": r"\bpercent\w*\b|\brates?\b",
    "quantity": r"\bquantit\w+|\bmeasurements?\b",
    "email": r"\be-?mails?\b",
    "phone": r"\bphones?\b|\btelephones?\b",
    "url": r"\burls?\b|\blinks?\b|\bwebsites?\b",
}


def sentiment(text: str) -> str | None:
    """The sentiment that is asked for: "positive", "negative" or "neutral"."""
    match = SENTIMENT.search(text)
    if match is None:
        return None
    word = (match["word"] or match["after"] or match["plain"]).lower()
    if re.fullmatch(_POSITIVE, word):
        return "positive"
    return "neutral" if word == "neutral" else "negative"


def sentiments(text: str) -> set[str]:
    """Every sentiment that is named."""
    found = (
        sentiment(m.group())
        for m in re.finditer(rf"\b(?:{_POSITIVE}|{_NEGATIVE}|neutral)\b", text, re.I)
    )
    named = re.findall(r"\b(positive|negative|neutral)", text, re.IGNORECASE)
    return {f for f in found if f} | {n.lower() for n in named}


OF_THESE = re.compile(
    r"^\W*(?:and\s+)?which\s+(?:ones?\s+)?of\s+(?:these|those|them|the\s+following)(?:\s+(?:items|ones|things|words|lines|texts|sentences))?\s+"
    r"(?P<what>(?:(?:are|is|were|was)\s+)?(?P<kind>[^,.;:?!]{3,60}))\W*$",
    re.IGNORECASE,
)
"""\"Which of these are cities\", \"which of those cost money\"."""


def criterion(text: str) -> str | None:
    """What texts should be like: "about billing", "angry", "not about delivery"."""
    return _said_criterion(text) or _of_these(text)


def _of_these(text: str) -> str | None:
    found = OF_THESE.match(text)
    return found["kind"].strip() if found is not None else None


def _said_criterion(text: str) -> str | None:
    found: list[str] = []
    feelings = list(EMOTION.finditer(text))
    if feelings:
        said = [_negated(text, f.start()) + f.group().lower() for f in feelings]
        either = re.search(r"\bor\b", text[feelings[0].end() : feelings[-1].start()])
        found.append((" or " if either else " and ").join(dict.fromkeys(said)))
    about = ABOUT.search(text)
    if about is not None:
        topic = _TAIL.sub("", about["topic"]).strip()
        topic = re.sub(
            r"\s+(?:that|who|which)\s+(?:are|is|were|was|sound|seem|feel|look)\b.*$", "", topic
        )
        topic = re.sub(
            r"\s+(?:and|or|but)\s+(?:which|are|is|also|were|angry|how|what|then)\b.*$", "", topic
        )
        if topic:
            found.append(f"{_negated(text, about.start())}about {topic}")
    return " and ".join(found) or None


def _negated(text: str, at: int) -> str:
    return "not " if re.search(r"\b(?:not|n't|without|except)\s*(?:\w+\s*)?$", text[:at]) else ""


def entity_types(text: str) -> list[str] | None:
    """Kinds of entities that are named; None when none is: then all are meant."""
    types = [k for k, p in _ENTITY.items() if re.search(p, text, re.IGNORECASE)]
    if re.search(r"\be-?mail address", text, re.IGNORECASE) and "location" in types:
        types.remove("location")
    return types or None


def search_query(text: str) -> str:
    """What is searched for, without the words that ask for the search."""
    marks = quoted(text)
    if marks:
        return marks[0]
    about = ABOUT.search(text)
    if about is not None:
        return _TAIL.sub("", about["topic"]).strip()
    core = re.sub(
        r"^(?:search|look|find|show|list|get|give|locate|check|which|what|where|is there|are there|do we have|anything|any|something)\b"
        r"(?:\s+(?:me|us|through|in|for|up|all|the|my|our|any|anything|something|everything|notes?|files?|documents?|folder|passages?|"
        r"paragraphs?|sections?|parts?|that|which|on|of|is|are|says?|tells?|explains?|describes?|covers?|contains?|say|written|there))*\s*",
        "",
        text,
        flags=re.IGNORECASE,
    )
    return _TAIL.sub("", core).strip(" ?.!") or text


def sentences_wanted(text: str) -> int | None:
    """How long a summary should be, in sentences."""
    wanted = limit(text)
    match = re.search(r"\b(\w+)[- ]sentences?\b", text, re.IGNORECASE)
    numbers = {"one": 1, "single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "a": 1}
    if match is not None:
        word = match.group(1).lower()
        return int(word) if word.isdigit() else numbers.get(word, wanted)
    return wanted if wanted is not None and wanted <= 30 else None


SAYS_ABOUT = re.compile(
    r"\bwhat (?:do|does|did|is|was|are|were)\b[^?]*\b(?:say|said|says|write|written|mention(?:ed)?|tell|state|stated|know|noted|decided|agreed)\b[^?]*\babout\b",
    re.IGNORECASE,
)
_FORM = r"(?:excel(?: file| sheet| spreadsheet| workbook)?|xlsx(?: file)?|csv(?: file)?|json(?: file)?|parquet(?: file)?|spreadsheet)"
SAVING = re.compile(
    rf"\b(?:and\s+)?(?:then\s+)?(?P<verb>gimme|save|export|download|store|write|output|give|return|provide)?\b(?P<what>[^.?!]*?)\s*\b(?:as|to|into|in)\s+(?:an?\s+)?(?P<form>{_FORM})(?:\s+(?:named|called)\s+\S+)?\s*[.!?]?$",
    re.IGNORECASE,
)


MADE_INTO = re.compile(
    rf"^\W*(?:(?:please|can you|could you)\s+)*(?:make|create|build|produce|generate|export|give|write|save|prepare)\s+(?:me\s+|us\s+)?"
    rf"(?:an?\s+|the\s+)?(?:new\s+)?(?P<form>{_FORM})\s+(?:with|of|containing|that\s+(?:has|shows|lists|contains)|listing|showing|for)\s+(?P<what>\S.*)$",
    re.IGNORECASE,
)
"""\"Make me an Excel file with the totals per employee\": what is to be in it comes after."""


def saving(text: str) -> str | None:
    """The format when a clause wishes to have its result as a file."""
    made = MADE_INTO.match(text)
    if made is not None:
        return export_format(made["form"])
    return export_format(text) if SAVING.search(text) else None


def without_saving(text: str) -> str:
    """The clause without the wish to save; what is left may be empty ("save them as CSV")."""
    made = MADE_INTO.match(text)
    if made is not None:
        return made["what"]
    match = SAVING.search(text)
    if match is None:
        return text
    rest = text[: match.start("form")]
    rest = re.sub(r"\b(?:as|to|into|in)\s+(?:an?\s+)?$", "", rest, flags=re.IGNORECASE)
    rest = re.sub(
        r"\b(?:gimme|save|export|download|store|write|output)\b", "", rest, flags=re.IGNORECASE
    )
    rest = re.sub(
        r"^\W*(?:(?:and|then|please|the|this|that|it|them|these|those|results?|tables?|outcome|everything|me)\b\W*)+$",
        "",
        rest.strip(),
        flags=re.IGNORECASE,
    )
    return rest.strip()


def export_format(text: str) -> str:
    """The format that a table is to be saved in; CSV when none is named."""
    formats = {
        "xlsx": r"\bexcel\b|\bxlsx?\b|\bspreadsheet\b",
        "json": r"\b(?:as|to|into|in)\s+(?:a\s+)?json\b|\.json\b",
        "parquet": r"\b(?:as|to|into|in)\s+(?:a\s+)?parquet\b|\.parquet\b",
    }
    return next((f for f, p in formats.items() if re.search(p, text, re.IGNORECASE)), "csv")
