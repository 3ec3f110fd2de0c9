"""Words of English texts, without a tagger: tokens, a light stem, stopwords, noun-phrase-like n-grams."""

import re
from collections.abc import Iterator


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_BREAK = re.compile(
    r"[.,;:!?()\[\]{}\"\u201c\u201d\u2026|/\\<>=+*]+(?:\s|$)|[()\[\]{}\"\u201c\u201d|\n]|\s[-\u2013\u2014]+\s"
)

STOPWORDS = _listed(
    """
    a about above across actually after again against all almost along already also although
    always am among an and another any anybody anyone anything anyway are aren't around as at away
    back be became because become been before behind being below besides best better between both
    but by came can can't cannot come comes could couldn't did didn't do does doesn't doing don't
    done down due during each either else enough especially etc even ever every everybody everyone
    everything except few first for from further get gets getting give given go goes going gone
    got had hadn't half has hasn't have haven't having he her here hers herself him himself his
    how however i i'd i'll i'm i've if in indeed instead into is isn't it it's its itself just
    keep kept know last later least less let like likely little long look lot lots made make makes
    making many may maybe me might mine more most mostly much must my myself near need needs
    neither never next no nobody none nor not nothing now of off often oh ok okay on once one ones
    only onto or other others otherwise our ours ourselves out over own per perhaps please plus
    put quite rather re really s said same saw say says second see seem seemed seems seen several
    shall she should shouldn't since so some somebody someone something sometimes somewhat soon
    still such t take taken takes taking tell than thank thanks that that's the their theirs them
    themselves then there there's therefore these they they're they've thing things think this
    those though three through throughout thus till to together too took toward towards try trying
    two under until unless up upon us use used uses using usually ve very via want wanted wants
    was wasn't way we we're we've well went were weren't what what's whatever when where whether
    which while who whole whom whose why will with within without won't would wouldn't yes yet you
    you'd you'll you're you've your yours yourself im ive dont cant didnt doesnt isnt wasnt wont
    id u ll d m
    """
)
QUESTION_WORDS = _listed(
    """
    who whom whose what which when where why how many much long often far old
    """
)
NEGATIONS = _listed(
    """
    no not never none nobody nothing neither nor without cannot hardly
    """
)

# Words that say how something is or what is done, not what it is about: no phrase ends or stands in them.
_NO_HEAD = _listed(
    """
    able absolutely amazing annoying available awesome awful bad beautiful big brand-new brilliant
    broken cheap clear cold complete completely cool correct crappy cute decent definitely
    different difficult dirty disappointed disappointing easier easily easy entire excellent exact
    expensive extra extremely fantastic fast favorite final fine flawless free fresh friendly
    frustrating full fun funny general glad good great happy hard heavy high highly horrible hot
    huge impossible impressed impressive important incredible initial interesting large late light
    lousy loud low lovely main major mediocre minor nearly negative new nice normal obvious old
    open original outstanding overall perfect perfectly pleased poor poorly positive possible
    pretty previous prompt quick quickly quiet ready real recent regular reliable responsive right
    rude satisfied serious sharp short similar simple simply slow slowly small smooth soft solid
    sorry special strong stupid super superb sure sweet tasty terrible terrific thick thin tiny
    total totally true typical ugly unable uncomfortable unusable useful useless usual various
    warm weak weird wide wonderful worse worst worth worthless wrong young bit kind sort type
    couple part parts fact case point reason stuff day days time times year years month months
    week weeks hour hours minute minutes today tomorrow yesterday people person man guy everyone
    way ways number amount lack end top side use place item items product products ability allow
    allowed allows appear appears applied ask asked asking avoid believe bought break breaks bring
    bringing brought build buy buying call called calling cancel cause caused change changed check
    choose close considering consider continue cost costs cut deal decide decided depend die died
    drop dropped eat expect expected explain fail failed fails feel feels fell felt figure find
    finds finish fit fits fix fixed follow forget found gave guess happen happened happening
    happens hate hated hear heard hello help helped helps hi hold hope include included includes
    install installed keeping knew lasted lasts lead learn leave left let's lets listen live liked
    likes loading looked looking looks lose lost love loved loves mean means meant mention
    mentioned move named notice noticed offer opened ordered paid pay pick picked play played
    playing plays prefer press provide provided provides pull purchased push ran read realize
    receive received recommend recommended refuse refused regret remain remember remove replace
    replaced require required requires return returned run running runs sell send sent set shipped
    show showed shows sit sits sold speak spend spent stand start started starts stay stayed stop
    stopped stops suck sucks suggest suppose supposed talk talking tells thought threw throw told
    tried tries turn turned turns understand update wait waited waiting walk watch watched wear
    wearing wish wonder wondering work worked working works write written wrote bother add added
    adding asap hey goodbye lol wow yeah nope yep sir madam dear instantly immediately recently
    currently previously finally frequently exactly basically certainly probably apparently
    possibly unfortunately junk crap garbage broke disappointment dissapointment trash piece problem problems issue issues complaint
    complaints gripe review reviews reviewer reviewers experience purchase advice opinion brand
    unit model anyone question questions digital
    """
)
_NO_START = _NO_HEAD - _listed(
    """
    battery call cold customer cut end free full help high hot return play product time work top
    side open cancel change check cost light live low part place real set show special start super
    digital
    """
)
_NO_NOUN_END = re.compile(r".{3,}(?:ly|n't)$")


def words_of(text: str) -> list[str]:
    """Words in lower case, in order; contractions and hyphenated words stay whole."""
    return [w.replace("\u2019", "'") for w in _WORD.findall(text.casefold())]


def stem(word: str) -> str:
    """A light stem for matching: plural, -ing, -ed and possessive endings go."""
    word = word.removesuffix("'s").removesuffix("'")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    for ending in ("ing", "ed"):
        base = word.removesuffix(ending)
        if base != word and len(base) > 2 and re.search("[aeiouy]", base):
            undoubled = base[:-1] if base[-1] == base[-2] and base[-1] not in "lsz" else base
            return undoubled.removesuffix("e")
    return word.removesuffix("e") if len(word) > 4 else word


def content_stems(text: str) -> list[str]:
    """Stems of the words that carry meaning; all words when none does."""
    words = words_of(text)
    return [stem(w) for w in words if w not in STOPWORDS] or [stem(w) for w in words]


def numbers_of(text: str) -> tuple[str, ...]:
    """The numbers in a text, sorted, as written without thousands separators."""
    found = (re.sub(r",(?=\d{3}\b)", "", n) for n in _NUMBER.findall(text))
    return tuple(sorted(found))


def negations_in(text: str) -> int:
    return sum(w in NEGATIONS or w.endswith("n't") for w in words_of(text))


def phrases_in(text: str, *, longest: int = 3) -> Iterator[str]:
    """Noun-phrase-like n-grams of a text in lower case, by stopword and word-list rules."""
    for chunk in _BREAK.split(text):
        words = words_of(chunk)
        run: list[str] = []
        for word in [*words, ""]:
            if word and word not in STOPWORDS and not word.isdigit():
                run.append(word)
                continue
            yield from _ngrams(run, longest)
            run = []


def _ngrams(run: list[str], longest: int) -> Iterator[str]:
    for start in range(len(run)):
        for end in range(start + 1, min(len(run), start + longest) + 1):
            part = run[start:end]
            if _is_head(part[-1]) and all(_may_stand(w) for w in part[:-1]):
                yield " ".join(part)


def _is_head(word: str) -> bool:
    return (
        len(word) > 2
        and word not in _NO_HEAD
        and not _NO_NOUN_END.match(word)
        and not word[0].isdigit()
    )


def _may_stand(word: str) -> bool:
    return len(word) > 1 and word not in _NO_START and not _NO_NOUN_END.match(word)
