"""From clauses to tasks: what each clause works on, what it asks for, and how it is linked.

A clause is tried as a calculation, a conversion, a question about dates; then, over a table, as a question
about the table; then as a wish about texts; then as any capability of the catalog, by retrieval. The one that
explains the clause best wins; what nothing explains is not guessed at.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pointsman.router.catalog import Capability
from pointsman.router.plan import Condition, Ref, widen
from pointsman.router.planning import texts, wishes
from pointsman.router.planning.arguments.arithmetic import arithmetic
from pointsman.router.planning.arguments.conversions import conversion
from pointsman.router.planning.arguments.date_questions import date_question
from pointsman.router.planning.arguments.filling import fill
from pointsman.router.planning.arguments.lists import limit
from pointsman.router.planning.base import Considered, Embedder, Request
from pointsman.router.planning.clauses import Clause
from pointsman.router.planning.draft import Draft, Value, context_of, prose_column
from pointsman.router.planning.mentions import Mentions, meant_by_kind
from pointsman.router.planning.retrieval import Hit, Retrieval, stems
from pointsman.router.planning.tables.context import TableContext
from pointsman.router.planning.tables.question import TableQuestion, understand
from pointsman.router.values import Column, FileProfile, Quantity, kinds_of

SURE = 0.62
"""Score at which a question about a table counts as understood."""
FITS = 0.5
"""Score at which a capability that was found by retrieval counts as what is asked for."""
ABOUT_DOCUMENTS = frozenset(
    ("text.answer", "text.search", "text.summarize", "text.entities", "text.count", "text.find")
)
"""What is asked of documents rather than of tables."""
COUNTED = frozenset(("text.classify", "text.sentiment", "text.emotion"))
"""What labels texts; "how many of each" then counts the labels."""
WHOLE_TABLE = frozenset(
    ("table.export", "table.duplicates", "table.describe", "table.correlate", "table.outliers")
)
"""What takes a table and hardly a word more."""
EACH = re.compile(r"\b(?:count(?:s|ed)?|how many|number of|tally|totals?)\b", re.IGNORECASE)
PLAIN_COUNT = re.compile(
    r"^\W*(?:and\s+)?(?:then\s+)?(?:also\s+)?(?:give|show|tell|list|return|report)?\s*(?:me|us)?\s*(?:with\s+)?(?:the\s+|their\s+)?(?:count|tally|number|how many)\b"
    r"(?:\s+(?:them|these|those|each|of|per|by|the|in|for|every|are|there|class|label|category|type|one|how|many|group|topic|tickets?|sentiment|emotion|kind|s)\b|\s|s\b)*\W*$",
    re.IGNORECASE,
)
FRAGMENT = re.compile(
    r"^(?:just |only |and )*(?:the )?(?:top|first|last|best|biggest|largest) (?:\d+|\w+)\W*(?:ones?|of them|please|pls|only)?\W*$",
    re.IGNORECASE,
)
"""Pieces of a request that say nothing without what came before: "top 5 please"."""
LEAD_WORDS = re.compile(
    r"\b(?:from|in|for|using|with|about|regarding|on|based|given|according|to|the|this|my|file|attached|see|here|is|are)\b",
    re.IGNORECASE,
)
INDEPENDENT = re.compile(
    r"^(?:what|which|who|how|when|where|is|are|does|do|did|was|were)\b", re.IGNORECASE
)
GROUP_MAIN = re.compile(
    r"\b(?:main|top|biggest|most|largest|common|frequent|major|key|leading|chief)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Understood:
    """What one clause came to. `value` None: nothing serves it, `why` says so. `supersedes`: an earlier
    value that this one holds as well.
    """

    value: Value | None
    score: float
    why: str = ""
    question: str | None = None
    supersedes: Value | None = None


class Composer:
    """Drafts the tasks of one request."""

    def __init__(
        self,
        request: Request,
        mentions: Mentions,
        draft: Draft,
        retrieval: Retrieval,
        embedder: Embedder,
    ) -> None:
        self._request = request
        self._mentions = mentions
        self.draft = draft
        self._retrieval = retrieval
        self._embedder = embedder
        self._number = -1
        self._named: tuple[FileProfile, ...] = ()
        self._asked: tuple[str, Value, Value] | None = None
        self.considered: list[Considered] = []

    @property
    def has_documents(self) -> bool:
        """Whether there are texts that a question may be answered from."""
        return self._mentions.body is not None or any(
            f.shape == "text" for f in self._request.files
        )

    async def fits_a_table(self, clause: Clause) -> bool:
        """Whether a clause is understood as a question about one of the tables."""
        tables = [f for f in self._request.files if f.shape == "table"]
        return any([await self._fit(clause, f) >= 0.8 for f in tables])

    # --- one clause -----------------------------------------------------------------------------

    async def clause(self, clause: Clause, focus: Value | None) -> Understood:
        """Adds the tasks of a clause. `focus`: the value that came last, which "those" would mean."""
        saved = wishes.saving(clause.text)
        if saved is None or not self.draft.can("table.export"):
            return await self._one(clause, focus)
        rest = replace(clause, text=wishes.without_saving(clause.text))
        if re.search(r"\w{3}", self._bare(rest.core)):
            return self._saved(await self._one(rest, focus), saved)
        self._number += 1
        source = await self._source(clause, focus, self._files(clause), None)
        return self._saved(Understood(source, 0.9, "there is nothing to save yet"), saved)

    def _saved(self, found: Understood, form: str) -> Understood:
        value = found.value
        if value is None or "table" not in value.kinds or value.maker == "table.export":
            return found
        arguments = {"table": value.argument, "format": form}
        made = self._add("table.export", arguments, f"save as {form.upper()}", value)
        return Understood(made, found.score)

    async def _one(self, clause: Clause, focus: Value | None) -> Understood:
        self._number += 1
        text = clause.core
        exact = self._exact(text, clause, focus)
        if exact is not None:
            return exact
        page = self._page(clause)
        hits = await self._retrieval.rank(text, self.draft.catalog)
        self._consider(text, hits)
        if page is not None and best_is(hits, "http.get"):
            return Understood(page, 0.9)
        files = self._files(clause)
        self._named = files or self._named
        if files and not re.search(r"\w{3}", LEAD_WORDS.sub("", self._bare(text))):
            return Understood(self._read(files), 0.9)  # "In sales.csv:" says where, and no more
        source = await self._source(clause, focus, files, page, hits)
        best = hits[0] if hits else None
        found = None
        if source is not None and source.table is not None and not source.documents:
            found = await self._over_table(clause, source, hits)
        if found is None and source is not None and source.has_texts:
            found = self._over_texts(clause, source, hits)
        if found is None and best is not None:
            found = await self._by_retrieval(clause, source, hits)
        if found is not None:
            return found
        if page is not None and re.match(
            r"\s*(?:fetch|get|download|open|read|load|retrieve|show)", text, re.I
        ):
            return Understood(page, 0.9)
        return self._not_understood(text, source, best)

    def _consider(self, text: str, hits: Sequence[Hit]) -> None:
        for hit in hits[:3]:
            self.considered.append(
                Considered(hit.capability.name, round(hit.score, 3), {"clause": text[:120]})
            )

    def _not_understood(self, text: str, source: Value | None, best: Hit | None) -> Understood:
        if source is None and best is not None and best.score >= FITS and not self._request.files:
            return Understood(
                None,
                0.0,
                f"{best.capability.title} needs something to work on, and no file was given",
                "Which file, or which text, should I use?",
            )
        why = f"nothing I have does {text.strip(' .?!')[:150]!r}"
        if source is not None and source.table is not None and not source.documents:
            names = ", ".join(c.name for c in source.table.columns[:30])
            why += f"; {source.table.name} has the columns {names}"
        return Understood(None, 0.0, why)

    # --- what a clause works on -------------------------------------------------------------------

    def _files(self, clause: Clause) -> tuple[FileProfile, ...]:
        named = [
            f for m in self._mentions.files if clause.start <= m.start < clause.end for f in m.files
        ]
        once = {f.ref.id: f for f in named}
        return tuple(once.values()) or meant_by_kind(clause.text, self._request.files)

    def _page(self, clause: Clause) -> Value | None:
        for url in self._mentions.urls:
            if clause.start <= url.start < clause.end and self.draft.can("http.get"):
                title = f"fetch {url.text[:60]}"
                made = self.draft.add("http.get", {"url": url.text}, title, clause=self._number)
                return replace(made, documents=True)
        return None

    async def _source(
        self,
        clause: Clause,
        focus: Value | None,
        files: Sequence[FileProfile],
        page: Value | None,
        hits: Sequence[Hit] = (),
    ) -> Value | None:
        """The value that a clause is about."""
        if page is not None:
            return page
        if files:
            same = focus is not None and focus.label == _label(files)
            if not (same and clause.refers_back):
                return self._read(files)
        if focus is not None and self._goes_on(clause):
            return focus
        written = self._written()
        if written is not None:
            return written
        if self._named:
            return self._read(self._named)
        if self._request.files:
            return self._read(await self._default_files(clause, hits))
        return focus

    def _goes_on(self, clause: Clause) -> bool:
        """Whether a clause continues what came before it, rather than asking something of its own."""
        if clause.refers_back or clause.linked or FRAGMENT.match(clause.core):
            return True
        return not (clause.opens_sentence or INDEPENDENT.match(clause.core))

    def _written(self) -> Value | None:
        if self._mentions.items:
            table = TableContext("the list", (Column("text", "text"),))
            return Value(list(self._mentions.items), frozenset({"list"}), table)
        if self._mentions.body:
            return Value(self._mentions.body, frozenset({"text"}), documents=True)
        return None

    async def _default_files(self, clause: Clause, hits: Sequence[Hit]) -> tuple[FileProfile, ...]:
        """Without a name: the only file, or the table that the clause fits best, or all texts together."""
        files = self._request.files
        tables = [f for f in files if f.shape == "table"]
        others = tuple(f for f in files if f.shape != "table")
        if len(files) == 1 or not tables:
            return files
        scores = [await self._fit(clause, f) for f in tables]
        best = max(range(len(tables)), key=lambda i: scores[i])
        if others and scores[best] < SURE and hits and hits[0].capability.name in ABOUT_DOCUMENTS:
            return others
        self.draft.assumptions.append(f"no file was named, so {tables[best].ref.name} was taken")
        return (tables[best],)

    async def _fit(self, clause: Clause, file: FileProfile) -> float:
        """How well a clause is understood as a question about a table."""
        table = context_of(file)
        now, embedder = self._request.now, self._embedder
        question = await understand(clause.core, table, now=now, embedder=embedder)
        if question is not None and question.steps and not question.missing:
            return question.score
        return 0.1 if prose_column(table) is not None else 0.0

    def _read(self, files: Sequence[FileProfile]) -> Value | None:
        tables = [f for f in files if f.shape == "table"]
        if len(files) > 1 and tables and len(tables) == len(files):
            return self._joined(files)
        return replace(self.draft.read(files, self._number), label=_label(files))

    def _joined(self, files: Sequence[FileProfile]) -> Value | None:
        """Two tables with a column in common are joined; otherwise the first is taken, and that is said."""
        left = self.draft.read(files[:1], self._number)
        right = self.draft.read(files[1:2], self._number)
        assert left.table is not None
        assert right.table is not None
        names = {c.name.casefold() for c in left.table.columns}
        shared = [c.name for c in right.table.columns if c.name.casefold() in names]
        if not shared or not self.draft.can("table.join"):
            self.draft.assumptions.append(
                f"{files[0].ref.name} and {files[1].ref.name} have no column in common, so only "
                f"{files[0].ref.name} was used"
            )
            return replace(left, label=_label(files))
        made = self.draft.add(
            "table.join",
            {"left": left.argument, "right": right.argument, "on": shared[0]},
            f"join {files[0].ref.name} and {files[1].ref.name} on {shared[0]}",
            clause=self._number,
            source=left,
        )
        more = tuple(c for c in right.table.columns if c.name.casefold() not in names)
        table = replace(
            left.table,
            columns=(*left.table.columns, *more),
            samples={**right.table.samples, **left.table.samples},
            complete=(*left.table.complete, *right.table.complete),
        )
        return replace(made, table=table, label=_label(files))

    # --- calculations ---------------------------------------------------------------------------

    def _exact(self, text: str, clause: Clause, focus: Value | None) -> Understood | None:
        """Clauses that are read whole, word by word: arithmetic, conversions, dates."""
        number = focus if focus is not None and _is_number(focus) else None
        measured = conversion(text)
        if measured is not None and self.draft.can("units.convert"):
            made = self._convert(measured, number)
            if made is not None:
                return made
        asked = date_question(text, self._request.now)
        if asked is not None and self.draft.can(asked.capability):
            return Understood(self._add(asked.capability, asked.arguments, asked.title), 0.95)
        sum_ = arithmetic(text) or (arithmetic(_with_object(text)) if number else None)
        if sum_ is None or not self.draft.can("math.calculate"):
            return None
        if sum_.variables and number is None:
            return None
        arguments: dict[str, Any] = {"expression": sum_.expression}
        if sum_.variables and number is not None:
            arguments["variables"] = dict.fromkeys(sum_.variables, number.argument)
        return Understood(
            self._add("math.calculate", arguments, f"calculate {sum_.expression}"[:90]), 0.95
        )

    def _convert(self, measured: Any, number: Value | None) -> Understood | None:
        to = measured.to_unit
        if measured.value is None:
            if number is None:
                return None
            arguments = {"value": number.argument, "to": to, "from_unit": measured.from_unit}
        else:
            value = Quantity(measured.value, measured.from_unit)
            arguments = {"value": value.to_json(), "to": to}
        return Understood(self._add("units.convert", arguments, f"convert to {to}"), 0.95)

    def _add(
        self, name: str, arguments: Mapping[str, Any], title: str, source: Value | None = None
    ) -> Value:
        return self.draft.add(name, arguments, title, clause=self._number, source=source)

    # --- tables ---------------------------------------------------------------------------------

    async def _over_table(
        self, clause: Clause, source: Value, hits: Sequence[Hit]
    ) -> Understood | None:
        if source.maker == "table.join" and best_is(hits, "table.join"):
            return Understood(source, 0.9)
        found = self._count_each(clause, source) or self._main_topics(clause, source)
        if found is None:
            found = await self._by_feeling(clause, source, hits)
        if found is not None:
            return found
        together = await self._together(clause, source)
        if together is not None:
            return together
        wish = self._text_wish(clause, source, hits)
        question = await self._understood(clause, source)
        if _is_sure(question, wish, source) and question is not None:
            found = self._steps(question, source)
            if found is not None and found.value is not None:
                self._asked = (clause.core, source, found.value)
            return found
        if wish is not None:
            return self._text_task(wish.capability, clause, source)
        whole = next((h for h in hits[:2] if h.capability.name in WHOLE_TABLE), None)
        if whole is not None and whole.score >= FITS:
            return await self._general(whole, clause, source)
        return self._half_understood(question, source)

    async def _together(self, clause: Clause, source: Value) -> Understood | None:
        """ "... and what is their average salary?": asks more of the same groups, so both are asked at once."""
        if self._asked is None or source.maker != "table.aggregate":
            return None
        before, base, value = self._asked
        if value.task != source.task:
            return None
        both = replace(clause, text=f"{before} and {clause.core}", refers_back=False)
        question = await self._understood(both, base)
        if question is None or question.missing or question.leftover or question.score < SURE:
            return None
        if len(question.steps) != 1 or question.steps[0].capability != "table.aggregate":
            return None
        found = self._steps(question, base)
        return replace(found, supersedes=value) if found is not None else None

    def _half_understood(self, question: TableQuestion | None, source: Value) -> Understood | None:
        """A question about the table that is not wholly explained: what is missing is said."""
        if question is None:
            return None
        if question.missing or (question.leftover and question.score >= 0.3):
            return self._missing(question, source)
        if question.steps and question.score >= 0.5:
            return self._steps(question, source)
        return None

    async def _understood(self, clause: Clause, source: Value) -> TableQuestion | None:
        if source.table is None or not isinstance(source.argument, Ref):
            return None
        return await understand(
            self._without_files(clause),
            source.table,
            now=self._request.now,
            embedder=self._embedder,
            refers_back=clause.refers_back or self._goes_on(clause),
        )

    def _without_files(self, clause: Clause) -> str:
        """The clause without names of files: they say where, not what."""
        return self._bare(clause.core) or clause.core

    def _bare(self, text: str) -> str:
        for mention in self._mentions.files:
            written = self._request.text.strip()[mention.start : mention.end]
            if mention.exact and "." in written:
                name = re.escape(written)
                text = re.sub(
                    rf"\s*\b(?:(?:in|from|of|for|on|using|with|the file|file|table|dataset)\s+)*[\"'`]?{name}[\"'`]?(?:\s+file)?(?!\w)",
                    "",
                    text,
                    flags=re.IGNORECASE,
                )
        return text.strip(" ,:;-–")

    def _steps(self, question: TableQuestion, source: Value) -> Understood | None:
        if not all(self.draft.can(s.capability) for s in question.steps):
            return None
        value = source
        for step in question.steps:
            name = "tables" if step.capability == "table.sql" else "table"
            value = self._add(
                step.capability,
                {name: value.argument, **step.arguments},
                step.title[:1].lower() + step.title[1:],
                value,
            )
        return Understood(value, min(1.0, question.score + 0.1))

    def _missing(self, question: TableQuestion, source: Value) -> Understood:
        what = question.missing or ", ".join(question.leftover[:3])
        assert source.table is not None
        names = ", ".join(c.name for c in source.table.columns[:30])
        return Understood(
            None,
            0.0,
            f"{source.table.name} has nothing that I can read as {what!r}; its columns are: {names}",
            "Which column do you mean?",
        )

    def _count_each(self, clause: Clause, source: Value) -> Understood | None:
        """ "and count them" after texts were labelled: how many of each label."""
        column = {
            "text.classify": "label",
            "text.sentiment": "sentiment",
            "text.emotion": "emotion",
        }.get(source.maker)
        if (
            column is None
            or not PLAIN_COUNT.match(clause.core)
            or not self.draft.can("table.aggregate")
        ):
            return None
        value = self._add(
            "table.aggregate",
            {
                "table": source.argument,
                "measures": [{"fn": "count"}],
                "by": [{"column": column}],
            },
            f"count by {column}",
            source,
        )
        return Understood(value, 0.9)

    def _main_topics(self, clause: Clause, source: Value) -> Understood | None:
        """The largest of groups that were made by meaning."""
        if source.maker != "text.topics" or not self.draft.can("table.sort"):
            return None
        wanted = limit(clause.core)
        if wanted is None and not GROUP_MAIN.search(clause.core) and not EACH.search(clause.core):
            return None
        arguments = {"table": source.argument, "by": "count", "descending": True, "limit": wanted}
        title = f"the {wanted} largest topics" if wanted else "largest topics first"
        return Understood(self._add("table.sort", arguments, title, source), 0.9)

    async def _by_feeling(
        self, clause: Clause, source: Value, hits: Sequence[Hit]
    ) -> Understood | None:
        """Clauses that speak of negative, positive or complaining texts: judged first, then used."""
        if source.prose is None or not self.draft.can("text.sentiment"):
            return None
        assert source.table is not None
        known = any(c.name.casefold() == "sentiment" for c in source.table.columns)
        wanted = wishes.sentiment(clause.core)
        if len(wishes.sentiments(clause.core)) > 1 and not known:
            judged = self._judged(source)
            question = await self._understood(clause, _without_score(judged))
            if question is not None and _groups(question) and question.score >= SURE:
                return self._steps(_by_sentiment(question), judged)
            counted = self._count_each(replace(clause, text="count them"), judged)
            return counted if EACH.search(clause.core) else Understood(judged, 0.9)
        complaints = wishes.COMPLAINTS.search(clause.core) and _asks_for_topics(clause.core, hits)
        if complaints and wanted is None:
            wanted = "negative"
        if wanted is None or (known and source.maker != "text.sentiment"):
            return None
        judged = source if source.maker == "text.sentiment" else self._judged(source)
        topics = _asks_for_topics(clause.core, hits) and self.draft.can("text.topics")
        if not topics:
            question = await self._understood(clause, _without_score(judged))
            if question is not None and question.steps and question.score >= SURE:
                return self._steps(question, judged)
        kept = self._kept(judged, wanted)
        if topics:
            return self._topics_of(clause, kept)
        wish = self._text_wish(
            clause, kept, [h for h in hits if h.capability.name != "text.sentiment"]
        )
        if wish is not None and wish.capability.name != "text.filter":
            return self._text_task(wish.capability, clause, kept)
        return Understood(kept, 0.9)

    def _judged(self, source: Value) -> Value:
        return self._add(
            "text.sentiment", {"texts": source.argument}, "judge the sentiment", source
        )

    def _kept(self, judged: Value, wanted: str) -> Value:
        where = [{"column": "sentiment", "op": "eq", "value": wanted}]
        arguments = {"table": judged.argument, "where": where}
        return self._add("table.filter", arguments, f"keep the {wanted} ones", judged)

    def _topics_of(self, clause: Clause, source: Value) -> Understood:
        given = texts.arguments_for("text.topics", clause.core) or {}
        grouped = self._add(
            "text.topics", {"texts": source.argument, **given}, "group by topic", source
        )
        listed = self._main_topics(clause, grouped) if limit(clause.core) else None
        return listed or Understood(grouped, 0.9)

    # --- texts ----------------------------------------------------------------------------------

    def _text_wish(self, clause: Clause, source: Value, hits: Sequence[Hit]) -> Hit | None:
        """The text capability that a clause over a table asks for, if one stands out."""
        if not source.has_texts:
            return None
        for hit in hits[:3]:
            name = hit.capability.name
            if (
                not texts.is_text_capability(name)
                or hit.score < FITS
                or hit.score < hits[0].score - 0.12
            ):
                continue
            if not source.documents and self._is_selection(name, clause):
                continue
            if texts.arguments_for(name, clause.core) is not None:
                return hit
        criterion = wishes.criterion(clause.core)
        if criterion is not None and self.draft.can("text.filter") and not source.documents:
            filter_ = next((h for h in hits if h.capability.name == "text.filter"), None)
            if filter_ is not None and filter_.score >= 0.3:
                return replace(filter_, cue=1.0)
        return None

    def _is_selection(self, name: str, clause: Clause) -> bool:
        """Whether texts are to be picked by what they are like, although another capability is near."""
        if wishes.criterion(clause.core) is None or not self.draft.can("text.filter"):
            return False
        if name == "text.emotion":
            return not re.search(r"\bemotions?\b|\bmoods?\b", clause.core, re.IGNORECASE)
        return name == "text.search" and clause.question

    def _over_texts(self, clause: Clause, source: Value, hits: Sequence[Hit]) -> Understood | None:
        best = hits[0]
        if (
            source.documents
            and wishes.SAYS_ABOUT.search(clause.core)
            and self.draft.can("text.search")
        ):
            return self._text_task(self.draft.catalog["text.search"], clause, source)
        wish = self._text_wish(clause, source, hits)
        if wish is not None:
            return self._text_task(wish.capability, clause, source)
        asks = clause.question or re.match(r"(?:tell|find out|say)\b", clause.core, re.IGNORECASE)
        if asks and source.documents and self.draft.can("text.answer") and best.score < 0.75:
            return self._text_task(self.draft.catalog["text.answer"], clause, source)
        return None

    def _text_task(
        self, capability: Capability, clause: Clause, source: Value
    ) -> Understood | None:
        name = capability.name
        text = clause.text if name == "text.answer" else clause.core
        given = texts.arguments_for(name, text)
        if given is None:
            return None
        if name == "text.topics":
            return self._topics_of(clause, source)
        if not source.documents and source.table is not None:
            column = _named_column(clause.core, source)
            if column is not None and "column" in capability.properties:
                given["column"] = column
        arguments = {texts.parameter_of(name): source.argument, **given}
        title = texts.title_for(name, capability.title, given)
        made = self._add(name, arguments, title, source)
        overall = name in ("text.sentiment", "text.emotion") and clause.question
        if overall or (name in COUNTED and EACH.search(clause.core)):
            counted = self._count_each(replace(clause, text="count them"), made)
            if counted is not None:
                return counted
        if name == "text.answer" and self.draft.can("text.search"):
            self._nearest(made, source, clause)
        if name == "text.filter" and re.match(
            r"\W*how many\b|\W*count\b|\W*number of\b", clause.core, re.I
        ):
            return Understood(self._counted(made), 0.85)
        return Understood(made, 0.85)

    def _nearest(self, answer: Value, source: Value, clause: Clause) -> None:
        """Where the texts do not say, the passages that come nearest are shown instead."""
        found = self._add(
            "text.search",
            {"texts": source.argument, "query": wishes.search_query(clause.core), "limit": 3},
            "show the nearest passages",
            source,
        )
        assert isinstance(answer.argument, Ref)
        condition = Condition(Ref(answer.argument.task, ("text",)), "missing")
        self.draft.only_when(found, condition)

    def _counted(self, source: Value) -> Value:
        if not self.draft.can("table.aggregate"):
            return source
        arguments = {"table": source.argument, "measures": [{"fn": "count"}]}
        return self._add("table.aggregate", arguments, "count them", source)

    # --- any capability -------------------------------------------------------------------------

    async def _by_retrieval(
        self, clause: Clause, source: Value | None, hits: Sequence[Hit]
    ) -> Understood | None:
        for hit in hits[:2]:
            if hit.score < FITS:
                break
            found = await self._general(hit, clause, source)
            if found is not None:
                return found
        return None

    async def _general(self, hit: Hit, clause: Clause, source: Value | None) -> Understood | None:
        """Any capability: what it works on by kind, the rest from the words."""
        capability = hit.capability
        given: dict[str, Any] = {}
        for name, schema in capability.properties.items():
            takes = kinds_of(schema)
            link = _linked(takes, source, schema)
            if link is not None and (name in capability.required or not given):
                given[name] = link
        given |= _columns_for(capability, clause.core, source)
        if capability.name == "table.export":
            given |= {"format": wishes.export_format(clause.text)}
        filled = await fill(
            clause.core, capability, given, now=self._request.now, embedder=self._embedder
        )
        if filled.missing:
            if any(
                kinds_of(capability.properties[m]) & {"table", "file", "list"}
                for m in filled.missing
            ):
                return None
            what = " and ".join(m.replace("_", " ") for m in filled.missing)
            return Understood(
                None, hit.score, f"to {capability.title} I need the {what}", f"What is the {what}?"
            )
        if not given and not filled.used and capability.required:
            return None
        value = self._add(capability.name, filled.arguments, capability.title, source)
        return Understood(value, hit.score)


def _is_sure(question: TableQuestion | None, wish: Hit | None, source: Value) -> bool:
    """Whether a clause is a question about the table rather than a wish about its texts."""
    if question is None or not question.steps or question.missing or question.score < SURE:
        return False
    if wish is None:
        return True
    conditions = [w for s in question.steps for w in s.arguments.get("where", ())]
    if any(w["column"] == source.prose for w in conditions):
        return False  # what a prose text is like is for an expert to judge
    return question.score > 0.9 and wish.cue < 0.9


def _without_score(judged: Value) -> Value:
    """The judged table as questions see it: "most negative reviews" counts them, it averages no score."""
    if judged.table is None:
        return judged
    columns = tuple(c for c in judged.table.columns if c.name != "sentiment_score")
    return replace(judged, table=replace(judged.table, columns=columns))


def _by_sentiment(question: TableQuestion) -> TableQuestion:
    """ "positive against negative per product": groups by the sentiment beside what was named."""
    steps = []
    for step in question.steps:
        by = list(step.arguments.get("by", ()))
        if by and all(b["column"] != "sentiment" for b in by):
            arguments = {**step.arguments, "by": [*by, {"column": "sentiment"}]}
            step = replace(step, arguments=arguments, title=f"{step.title}, sentiment")
        steps.append(step)
    return replace(question, steps=tuple(steps))


def _counts_each(text: str) -> bool:
    """ "count them", "how many fall in each": how many there are of each label."""
    short = len(text.split()) <= 12 and re.search(r"\b(?:each|per|every)\b", text, re.IGNORECASE)
    return bool(PLAIN_COUNT.match(text) or (short and EACH.search(text)))


def _groups(question: TableQuestion) -> bool:
    return any(len(s.arguments.get("by", ())) > 0 for s in question.steps)


def best_is(hits: Sequence[Hit], name: str) -> bool:
    return bool(hits) and hits[0].capability.name == name


def _label(files: Sequence[FileProfile]) -> str:
    return "|".join(f.ref.id for f in files)


def _is_number(value: Value) -> bool:
    return bool(value.kinds & {"quantity", "number"})


def _with_object(text: str) -> str:
    """ "multiply by 12" means the number that came before."""
    text = re.sub(
        r"^(multiply|divide|increase|reduce|decrease|raise|square|double|halve|triple|round)\b(?!\s+(?:it|that|this|the)\b)",
        r"\1 it",
        text,
        flags=re.I,
    )
    text = re.sub(r"^add\s+(\S*\d[\d.,]*%?).*$", r"add \1 to it", text, flags=re.I)
    return re.sub(r"^subtract\s+(\S*\d[\d.,]*%?).*$", r"subtract \1 from it", text, flags=re.I)


def _asks_for_topics(text: str, hits: Sequence[Hit]) -> bool:
    grouped = re.search(
        r"\b(?:topics?|themes?|main|top|most|common|biggest|frequent|about what|what .* about|reasons?|why)\b",
        text,
        re.IGNORECASE,
    )
    return bool(grouped) and any(
        h.capability.name == "text.topics" and h.score >= 0.4 for h in hits[:4]
    )


def _columns_for(
    capability: Capability, text: str, source: Value | None
) -> dict[str, str | list[str]]:
    """Parameters that name columns, filled with the columns that the clause names."""
    if source is None or source.table is None:
        return {}
    said = stems(text.replace("_", " "))
    names = [
        c.name
        for c in source.table.columns
        if (own := stems(re.sub(r"[_-]+", " ", c.name))) and own <= said
    ]
    found: dict[str, str | list[str]] = {}
    if names and "column" in capability.properties and "columns" not in capability.properties:
        found["column"] = names[0]
    if names and "columns" in capability.properties:
        found["columns"] = names
    return found


def _named_column(text: str, source: Value) -> str | None:
    """A column of prose that the clause names as a column."""
    assert source.table is not None
    for column in source.table.columns:
        name = re.escape(column.name)
        if re.search(rf"\b{name}\s+column\b|\bcolumn\s+[\"']?{name}\b", text, re.IGNORECASE):
            return column.name
    return None


def _linked(takes: frozenset[str], source: Value | None, schema: Mapping[str, Any]) -> Any:
    """The source as an argument, when its kind is taken there."""
    if source is None or not source.kinds & widen(takes):
        return None
    if takes <= {"text", "any"} and not isinstance(source.argument, Ref) and not source.documents:
        return None
    if takes == {"text"} and "enum" in schema:
        return None
    return source.argument
