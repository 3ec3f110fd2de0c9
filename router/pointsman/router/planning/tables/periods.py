"""What no single row can meet: two times at once ("January and June"), and what a group never had."""

from itertools import pairwise

from pointsman.router.planning.tables.computed import SIGNS
from pointsman.router.planning.tables.conditions import Condition
from pointsman.router.planning.tables.context import TEMPORAL
from pointsman.router.planning.tables.predicates import OPPOSITE
from pointsman.router.planning.tables.ranking import Ranking
from pointsman.router.values import Column

FIGURES = {"mean": "avg", "median": "median"}
PERIODS = frozenset(("year", "quarter", "month", "week", "day"))
"""Grains of time by which what happened in several of them is told apart."""
COMPARES = frozenset(
    "compare compared comparison vs versus against between difference differ".split()
)
NEVER = frozenset(
    ("no", "never", "without", "not any", "neither", "did not", "do not", "does not", "have not")
)


class Apart(Ranking):
    """Takes conditions that exclude one another out of those that all rows must meet."""

    def _periods(self) -> None:
        """Several times of one date: rows of any of them are meant."""
        where = self.reading.where
        dates = {c.name for c in self.links.typed(TEMPORAL)}
        for name in dict.fromkeys(c.column for c in where if c.column is not None):
            told = [c for c in where if c.column == name and c.op in ("between", "eq")]
            if len(told) < 2:
                continue
            if name in dates and _disjoint(told):
                self.reading.periods = told
                self.reading.where = [c for c in where if c not in told]
            elif name not in dates and all(c.op == "eq" and _is_year(c.value) for c in told):
                one = Condition(name, "in", [c.value for c in told])
                self.reading.where = [one, *(c for c in where if c not in told)]

    def _beyond(self) -> None:
        """ "who earns more than the average": a comparison with a figure of the column itself."""
        marks = self.marks
        for i, mark in enumerate(marks.items):
            at = marks.next_of(i, "stop")
            sign = SIGNS.get(str(mark.value)) if mark.kind == "comparison" else None
            function = marks.items[at].value if marks.kind(at) == "function" else None
            if sign is None or function not in FIGURES or i in marks.used:
                continue
            beside = [marks.before(i, "stop", "wh", "rows"), marks.next_of(at, "stop")]
            links = [self.numeric(marks.links(b)) for b in beside]
            column = next((k.column for k in links if k is not None), None) or self._spoken_of(i)
            if column is not None:
                marks.use(i, at, *(b for b, k in zip(beside, links, strict=True) if k is not None))
                self.reading.beyond = (column.name, sign, FIGURES[function])
            return

    def _spoken_of(self, before: int) -> Column | None:
        """The number that a verb before a comparison speaks of ("earns"), or the only one, or the money."""
        for j, mark in enumerate(self.marks.items[:before]):
            link = (
                self.numeric(self.links.columns((mark.word,), 0.7)) if len(mark.word) > 3 else None
            )
            if link is not None:
                self.marks.use(j)
                return link.column
        return self.default_number()

    def _told_apart(self) -> None:
        """What is compared or calculated over several times is given for each of them."""
        reading = self.reading
        if not reading.periods or reading.groups:
            return
        compares = [i for i, m in enumerate(self.marks.items) if m.word in COMPARES]
        grain = next((m.value.grain for m in self.marks.items if m.kind == "moment"), None)
        if grain in PERIODS and (compares or self.marks.free("function")):
            column = reading.periods[0].column
            assert column is not None
            reading.group(column, grain)
            self.marks.use(*compares)

    def _never(self) -> None:
        """ "Which employees have no hotel expenses": groups of which no row meets the condition."""
        turned = [c for c in self.reading.where if c.op in ("ne", "not_in", "not_contains")]
        said = [
            i for i, m in enumerate(self.marks.items) if m.word in NEVER and i in self.marks.used
        ]
        if len(turned) != 1 or not said or self.reading.groups:
            return
        column = self._whose(before=said[0])
        if column is None or column == turned[0].column:
            return
        back = {v: k for k, v in OPPOSITE.items()}
        asked = Condition(turned[0].column, back[turned[0].op], turned[0].value)
        self.reading.never = [asked if c is turned[0] else c for c in self.reading.where]
        self.reading.where = []
        self.reading.group(column)

    def _whose(self, before: int) -> str | None:
        """The column that a question asks for: after "which", or of people after "who"."""
        for i in range(before):
            if self.marks.kind(i) != "wh" or self.marks.word(i) not in ("which", "what", "who"):
                continue
            at = self.marks.next_of(i, "stop")
            if self.marks.word(i) == "who":
                people = [c for c in self.links.people() if not self.table.is_unique(c.name)]
                return people[0].name if people else None
            named = self.marks.links(at) if at < before and self.marks.kind(at) == "column" else ()
            link = self._grouping(named)
            if link is None or self.table.is_unique(link.column.name):
                return None
            self.marks.use(i, at, certainty=link.certainty)
            return link.column.name
        return None


def _disjoint(told: list[Condition]) -> bool:
    """Whether spans of time share no day."""
    spans = sorted(
        (str(c.value[0]), str(c.value[1])) if isinstance(c.value, list) else (str(c.value),) * 2
        for c in told
    )
    return all(one[1] < two[0] for one, two in pairwise(spans))


def _is_year(value: object) -> bool:
    return isinstance(value, int) and 1000 <= value <= 2999
