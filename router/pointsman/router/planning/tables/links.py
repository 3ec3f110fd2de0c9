"""From words to columns and values of a table: exact forms, stems, abbreviations, concepts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pointsman.router.planning.tables.context import NUMERIC, TEMPORAL, TableContext
from pointsman.router.planning.tables.words import (
    ROW_NOUNS,
    STOP,
    concepts_of,
    root,
    same_rows,
    split_name,
    stem,
)
from pointsman.router.values import Column, Json

# Words of a column's name that say little by themselves.
GENERIC = frozenset(
    "id name date number code at on of in unit total usd eur gbp cm kg km m c type value is has key full the gross net "
    "flag index ref label text field level per to by minute hour day celsius percent avg average mean f h s ms g".split()
)
# Words that people add to a column's name: "region name", "resolution time", "amount value".
ADDED = frozenset("id name date number code value column type field level figure price".split()) - {
    "price"
}
FILLER = frozenset("time value level amount figure number cost price total".split())
DEMONYMS = {
    "french": "france", "dutch": "netherlands", "spanish": "spain", "british": "united kingdom",
    "english": "england", "danish": "denmark", "polish": "poland", "swedish": "sweden", "swiss": "switzerland",
    "greek": "greece", "turkish": "turkey", "irish": "ireland", "italian": "italy", "american": "united states",
    "finnish": "finland", "czech": "czechia", "chinese": "china", "japanese": "japan", "portuguese": "portugal",
    "norwegian": "norway", "brazilian": "brazil", "mexican": "mexico", "canadian": "canada", "german": "germany",
    "austrian": "austria", "belgian": "belgium", "russian": "russia", "indian": "india", "scottish": "scotland",
    "hungarian": "hungary", "australian": "australia", "korean": "south korea", "welsh": "wales",
    "us": "united states", "usa": "united states", "uk": "united kingdom", "u.s.": "united states",
}  # fmt: skip
ALIASES = {
    "united states": ("us", "usa", "u.s.", "united states of america", "america"),
    "united kingdom": ("uk", "gb", "great britain", "britain", "u.k."),
    "germany": ("de", "ger", "deu"), "france": ("fr", "fra"), "spain": ("es", "esp"), "italy": ("it", "ita"),
    "male": ("m",), "female": ("f",), "man": ("m", "male"), "woman": ("f", "female"),
    "czechia": ("czech republic",), "netherlands": ("the netherlands", "nl", "holland"),
}  # fmt: skip
PEOPLE = frozenset("customer employee name person people client buyer user student agent author patient member passenger assignee rep salesperson seller".split())  # fmt: skip
PLACES = frozenset(
    "city country region state place location address site town store branch origin destination".split()
)


@dataclass(frozen=True, slots=True)
class Link:
    """A column that a phrase may mean, with the certainty of it, 0..1."""

    column: Column
    certainty: float


@dataclass(frozen=True, slots=True)
class ValueLink:
    """A value of a column that a phrase names. `part`: only a word of the value was named."""

    column: Column
    value: Json
    certainty: float
    part: bool = False


@dataclass(frozen=True, slots=True)
class _Named:
    column: Column
    stems: tuple[str, ...]
    roots: frozenset[str]
    head: frozenset[str]


def plain(value: str) -> str:
    """A value or phrase for comparison: lower case, no hyphens or points, last word singular."""
    words = re.sub(r"[-_/'’.]", " ", re.sub(r"['’]s\b", "", value.lower())).split()
    return " ".join([*words[:-1], stem(words[-1])]) if words else ""


class Links:
    """The index of one table's names and values."""

    def __init__(self, table: TableContext) -> None:
        self.table = table
        self._named = tuple(_named(c, table.columns) for c in table.columns)
        self._values: dict[str, list[ValueLink]] = {}
        self._parts: dict[str, list[ValueLink]] = {}
        self._initials: dict[str, list[ValueLink]] = {}
        for column in table.columns:
            if column.type not in NUMERIC | TEMPORAL and not table.truth_values(column):
                self._index(column)
        self._row_words = self._names_of_rows()

    def _index(self, column: Column) -> None:
        for value in self.table.values(column.name):
            if not isinstance(value, str) or len(value) > 80 or not plain(value):
                continue
            key = plain(value)
            self._values.setdefault(key, []).append(ValueLink(column, value, 1.0))
            words = key.split()
            if len(words) > 1:
                initials = "".join(w[0] for w in words if w not in ("of", "and", "the"))
                self._initials.setdefault(initials, []).append(ValueLink(column, value, 0.9))
            if 1 < len(words) <= 6:
                for word in words:
                    if len(word) > 1 and word not in STOP:
                        link = ValueLink(column, value, 0.75, part=True)
                        self._parts.setdefault(word, []).append(link)

    def _names_of_rows(self) -> frozenset[str]:
        stemmed = re.sub(r"\.\w{1,8}$", "", self.table.name)
        words = {stem(w) for w in split_name(stemmed)}
        for named in self._named[:1]:
            if len(named.stems) == 2 and named.stems[1] in ("id", "number", "code", "name", "key"):
                words.add(named.stems[0])
        return frozenset(words - {"name", "id", "number"})

    def is_row_noun(self, word: str) -> bool:
        """Whether a noun names the rows: "orders" of orders.csv, "people" of staff.csv, "rows"."""
        base = stem(word)
        return base in ROW_NOUNS or any(same_rows(base, own) for own in self._row_words)

    def is_own_row_noun(self, word: str) -> bool:
        """Whether a noun is literally the table's own word for a row."""
        return stem(word) in self._row_words

    def rows_are_people(self) -> bool:
        """Whether each row is a person: the table or its first column says so."""
        kinds = ("person", "customer", "employee", "student", "patient")
        return any(same_rows(own, kind) for own in self._row_words for kind in kinds)

    def columns(self, words: Sequence[str], floor: float = 0.6) -> tuple[Link, ...]:
        """Columns that a phrase may mean, most certain first."""
        phrase = [w for w in words if w not in ("the", "of", "a")]
        if not phrase or len(phrase) > 4:
            return ()
        expanded = tuple(stem(part) for w in phrase for part in _parts(w))
        written = " ".join(phrase)
        links = [
            Link(n.column, 1.0 if n.column.name.lower() == written else _certainty(expanded, n))
            for n in self._named
        ]
        kept = [link for link in links if link.certainty >= floor]
        return tuple(sorted(kept, key=lambda k: -k.certainty))

    def values(
        self, words: Sequence[str], written: str, *, noun: bool = False
    ) -> tuple[ValueLink, ...]:
        """Values that a phrase names whole; words that mean nothing by themselves only in exact case.

        noun: the word is known to be a noun ("return" before "rate"), so that it means something.
        """
        key = plain(" ".join(words))
        found = self._values.get(key, [])
        if not found and key in DEMONYMS:
            found = self._values.get(DEMONYMS[key], [])
            key = DEMONYMS[key]
        if not found:
            for alias in ALIASES.get(key, ()):
                found = found or self._values.get(plain(alias), [])
        if not found and written.isupper() and len(written) > 1:
            found = self._initials.get(written.lower().replace(".", ""), [])
            if found:
                return tuple(found)
        if not found:
            found = self._nearly(key)
        if not noun and len(words) == 1 and (words[0] in STOP or len(words[0]) < 3):
            return tuple(v for v in found if v.value == written)
        return tuple(found)

    def _nearly(self, key: str) -> list[ValueLink]:
        """ "German" for "Germany", "cancelled" for "canceled", "shipping" for "shipped"."""
        if len(key) < 5 or " " in key:
            return []
        wanted = root(key).replace("ll", "l")
        return [
            ValueLink(v.column, v.value, 0.85)
            for known, links in self._values.items()
            if " " not in known and len(known) > 3 and root(known).replace("ll", "l") == wanted
            for v in links
        ]

    def value_parts(self, word: str) -> tuple[ValueLink, ...]:
        """Values of several words of which one is named: "Anna" of "Anna Schmidt"."""
        return tuple(self._parts.get(plain(word), ()))

    def typed(self, kinds: frozenset[str]) -> tuple[Column, ...]:
        return tuple(c for c in self.table.columns if c.type in kinds)

    def ends(self, column: Column) -> tuple[Column, Column] | None:
        """The columns of the lows and of the highs of one measure, when `column` is one of the two."""
        own = next(set(n.stems) for n in self._named if n.column == column)
        pair: dict[str, Column] = {}
        for named in self._named:
            for end in ("minimum", "maximum"):
                same = set(named.stems) - {end} == own - {"minimum", "maximum"}
                if end in named.stems and same and named.column.type in NUMERIC:
                    pair[end] = named.column
        return (pair["minimum"], pair["maximum"]) if len(pair) == 2 else None

    def with_concept(self, *words: str) -> tuple[Link, ...]:
        """Columns of the first concept word that any column answers to."""
        for word in words:
            links = self.columns((word,), 0.7)
            if links:
                return links
        return ()

    def people(self) -> tuple[Column, ...]:
        return self._with_words(PEOPLE)

    def places(self) -> tuple[Column, ...]:
        return self._with_words(PLACES)

    def _with_words(self, words: frozenset[str]) -> tuple[Column, ...]:
        return tuple(
            n.column
            for n in self._named
            if n.column.type == "text"
            and (n.head & words or (n.stems[-1:] and n.stems[-1] in words))
        )

    def is_identifier(self, column: Column) -> bool:
        stems = split_name(column.name)
        if len(stems) > 1 and stems[-1] == "number" and column.type == "integer":
            return True
        return (bool(stems) and stems[-1] in ("id", "key", "code", "index", "uuid")) or stems == (
            "number",
        )


def _parts(word: str) -> tuple[str, ...]:
    joined = word.replace("-", "")
    return (
        split_name(stem(word)) or (word,)
        if stem(word) == stem(joined)
        else split_name(word) or (word,)
    )


def _named(column: Column, beside: Sequence[Column]) -> _Named:
    stems = tuple(stem(w) for w in split_name(column.name))
    if "minute" in stems and "min" in re.split(r"[\W_]+", column.name.lower()):
        other = tuple("maximum" if s == "minute" else s for s in stems)
        if any(tuple(stem(w) for w in split_name(c.name)) == other for c in beside):
            stems = tuple("minimum" if s == "minute" else s for s in stems)
    core = frozenset(s for s in stems if s not in GENERIC) or frozenset(stems)
    return _Named(column, stems, frozenset(root(s) for s in core), core)


def _certainty(phrase: tuple[str, ...], named: _Named) -> float:
    wanted, own = frozenset(phrase), frozenset(named.stems)
    if not own:
        return 0.0
    if wanted == own or "".join(phrase) == "".join(named.stems):
        return 1.0
    extra = own - wanted
    if wanted < own and (wanted & named.head):
        core = extra & named.head
        return 0.92 - 0.08 * len(core) - 0.02 * len(extra) - (0.05 if "id" in extra else 0)
    if own < wanted and wanted - own <= ADDED and phrase[0] in own:
        return 0.9
    if len(wanted) > 1 and phrase[-1] in FILLER and wanted - {phrase[-1]} == named.head:
        return 0.88
    if "".join(root(p) for p in phrase) == "".join(sorted(named.roots)) and len(phrase) > 1:
        return 0.9
    roots = frozenset(root(p) for p in phrase)
    if roots <= named.roots:
        return 0.85 - 0.05 * len(named.roots - roots)
    if len(phrase) == 1:
        return _conceptual(phrase[0], named)
    return 0.0


def _conceptual(word: str, named: _Named) -> float:
    """A concept's own words stand for it more surely than its later ones."""
    own = concepts_of(word)
    best = 0.0
    for other in named.head:
        shared = own & concepts_of(other)
        if shared:
            best = max(best, 0.78 - 0.06 * (len(named.head) - 1))
    return best
