"""From a request and the plan that was right for it to what is remembered: constants become slots."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.errors import PlanError
from pointsman.router.plan import Plan
from pointsman.router.planning.memory.constants import (
    ENDS,
    Constant,
    Form,
    form_of,
    is_bare_year,
)
from pointsman.router.planning.memory.remembered import (
    How,
    Remembered,
    Slot,
    digest,
    digest_of,
    shape_of,
)
from pointsman.router.planning.memory.spelling import bare, carries, equal, same, spellings
from pointsman.router.planning.memory.words import classes, content
from pointsman.router.planning.retrieval import stems
from pointsman.router.values import FileProfile, Schema

NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w]|\.\d)")
LONGEST_WORDS = 12
LONGEST_REQUEST = 2_000
"""Characters of a request beyond which it is no habit but a document."""


class NotGeneral(PlanError):
    """A plan cannot be remembered; the message says why, for whoever asked to remember it."""

    code = "memory.not-general"


def generalise(
    text: str,
    plan: Plan,
    catalog: Catalog,
    *,
    files: Sequence[FileProfile],
    now: datetime,
    run: str,
    how: How = "confirmed",
    effect_arguments: bool = False,
) -> Remembered:
    """A plan with slots for what its request gave.

    now: when it was asked, by the clock of whoever asked. effect_arguments: whether values that go into
    effects of class `keyed` and `once` may be kept; where not, only their slots are. Raises NotGeneral;
    UnknownFile when the request names a file that is not among `files`.
    """
    if len(text) > LONGEST_REQUEST:
        raise NotGeneral(f"a request of more than {LONGEST_REQUEST:,} characters is not kept")
    learning = _Learning(_read(text.strip(), plan, files, now), files)
    withheld: set[int] = set()
    tasks: list[dict[str, Any]] = []
    for task, form in zip(plan.tasks, plan.to_json()["tasks"], strict=True):
        capability = catalog.get(task.capability)
        if capability is None:
            raise NotGeneral(f"nothing serves {task.capability!r} now")
        secret = capability.effect in ("keyed", "once") and not effect_arguments
        learning.secret = set() if secret else None
        tasks.append(learning.task(form, capability))
        withheld |= learning.secret or set()
    told = {**plan.to_json(), "tasks": tasks, "source": "", "assumptions": [], "unserved": []}
    return learning.remembered(told, plan, catalog, run, now.timestamp(), how, withheld)


def _read(text: str, plan: Plan, files: Sequence[FileProfile], now: datetime) -> Form:
    """The request taken apart; a bare year is a number where the plan has the number and no such day."""
    form = form_of(text, files, now)
    told = json.dumps(plan.to_json()["tasks"])
    years = [text[c.start : c.end] for c in form.constants if is_bare_year(c, text)]
    numbers = all(y in told and f'"{y}-' not in told for y in years)
    return form.years_as_numbers() if years and numbers else form


class _Learning:
    """What one plan took from its request. Slots are named by where they begin in the text until the end."""

    def __init__(self, form: Form, files: Sequence[FileProfile]) -> None:
        self.form = form
        self.files = files
        self.used: set[int] = set()
        self.spans: dict[int, int] = {}
        self.rules: list[dict[str, Any]] = []
        self.columns: dict[str, None] = {}
        self.secret: set[int] | None = None
        self._names = {c.name for f in files for c in f.columns or ()}

    def task(self, form: Mapping[str, Any], capability: Capability) -> dict[str, Any]:
        """A task in its JSON form with what came from the request replaced. Raises NotGeneral."""
        loop, when = form["for_each"], form["when"]
        made = {
            "arguments": {
                k: self.general(v, capability.properties.get(k, {}))
                for k, v in form["arguments"].items()
            },
            "for_each": loop and {**loop, "over": self.general(loop["over"], {})},
            "when": when and {**when, "value": self.general(when["value"], {})},
        }
        title = "" if self.secret is not None else self.title(form["title"])
        return {**form, **made, "title": title}

    # --- arguments ------------------------------------------------------------------------------

    def general(self, value: Any, schema: Schema) -> Any:
        """An argument in its JSON form with what came from the request replaced; what its schema lists
        (an enum) is a choice of the plan and stays. Raises NotGeneral.
        """
        if isinstance(value, bool) or value is None or _listed(schema):
            return value
        if isinstance(value, Mapping):
            return self._object(value, schema)
        if isinstance(value, list):
            return self._list(value, _inside(schema, None))
        if isinstance(value, str):
            return self._string(value)
        return self._number(value)

    def _object(self, value: Mapping[str, Any], schema: Schema) -> Any:
        if "$task" in value or "$item" in value:
            return dict(value)
        if any(k.startswith("$") for k in value):
            raise NotGeneral("an argument has a name that begins with '$'")
        if value.get("kind") == "file" and "id" in value:
            return self._file(value)
        made = {k: self.general(v, _inside(schema, k)) for k, v in value.items() if k != "value"}
        if "value" in value:
            made["value"] = self._cell(value, made)
        return {k: made[k] for k in value}

    def _cell(self, value: Mapping[str, Any], made: Mapping[str, Any]) -> Any:
        """What a column is compared with: a word of the request only where the file has the column."""
        column, cell = value.get("column"), value["value"]
        if not isinstance(column, str) or not isinstance(cell, str):
            return self.general(cell, {})
        if column not in self._names:
            return cell
        found = self.general(cell, {})
        typed = isinstance(found, Mapping) and found.get("as") in ("digits", *ENDS)
        if found == cell or typed:
            return found
        return {"$cell": found, "of": made["column"]}

    def _list(self, value: list[Any], schema: Schema) -> Any:
        for constant in self.form.constants:
            if constant.kind == "items" and constant.value == value:
                return self._slot(constant, "value")
        ids = [v["id"] for v in value if isinstance(v, Mapping) and v.get("kind") == "file"]
        if ids and len(ids) == len(value):
            return [{"$files": self._rule([str(i) for i in ids])}]
        return [self.general(v, schema) for v in value]

    def _number(self, value: int | float) -> Any:
        found = self._amount(Decimal(str(value)))
        if found is None and value < 0:  # "45 days before": the sign is the plan's
            found = self._amount(-Decimal(str(value)))
            if found is not None:
                return self._slot(found, "negative")
        if found is None:
            self._withheld(value)
            return value
        return self._slot(found, "number")

    def _amount(self, value: Decimal) -> Constant | None:
        """A number of the request that has this value; one that was not taken yet is preferred."""
        fitting = [
            c for c in self.form.constants if c.kind == "amount" and Decimal(str(c.value)) == value
        ]
        return next((c for c in fitting if c.start not in self.used), next(iter(fitting), None))

    def _string(self, value: str) -> Any:
        if not value.strip():
            return value
        if bare(value) == bare(self.form.text) and len(self.form.tokens) > 1:
            self._whole()
            return {"$whole": 0}
        for constant in self.form.constants:
            how = equal(constant, value)
            if how is not None:
                return self._slot(constant, how)
        if value in self._names:
            self.columns[value] = None
            return value
        pieces = self._pieces(value)
        if all(isinstance(p, str) for p in pieces):
            self._withheld(value)
            return value
        return pieces[0] if len(pieces) == 1 else {"$text": pieces}

    def _whole(self) -> None:
        if self.secret is not None:
            raise NotGeneral("an effect takes the whole request, which is withheld")

    def _withheld(self, value: object) -> None:
        if self.secret is not None and not isinstance(value, bool):
            raise NotGeneral(
                "an argument of an effect did not come from the request; it is withheld"
            )

    def _slot(self, constant: Constant, how: str) -> dict[str, Any]:
        self.used.add(constant.start)
        if self.secret is not None:
            self.secret.add(constant.start)
        return {"$slot": constant.start, "as": how}

    # --- strings that hold constants ------------------------------------------------------------

    def _pieces(self, value: str) -> list[Any]:
        """A string as what stays and what came from the request, in order."""
        found: list[tuple[int, int, Constant, str]] = []

        def take(start: int, end: int, constant: Constant, how: str) -> None:
            if not any(start < e and s < end for s, e, _, _ in found):
                found.append((start, end, constant, how))

        for constant in sorted(self.form.constants, key=lambda c: c.start - c.end):
            for written, how in spellings(constant, self.form.text):
                for m in re.finditer(rf"(?<!\w){re.escape(written)}(?!\w)", value):
                    take(m.start(), m.end(), constant, how)
        for m in NUMBER.finditer(value):
            amount = self._amount(Decimal(m.group()))
            if amount is not None:
                take(m.start(), m.end(), amount, "digits")
        pieces: list[Any] = []
        at = 0
        for start, end, constant, how in sorted(found, key=lambda f: f[0]):
            pieces += [value[at:start], self._slot(constant, how)]
            at = end
        pieces.append(value[at:])
        return self._with_words([p for p in pieces if p != ""])

    def _with_words(self, pieces: list[Any]) -> list[Any]:
        """The longest run of words that stands in the request too becomes a slot."""
        best: tuple[int, int, re.Match[str], int, int] | None = None
        for place, piece in enumerate(pieces):
            if isinstance(piece, str):
                for length, match, first, last in self._runs(piece):
                    if best is None or length > best[0]:
                        best = (length, place, match, first, last)
        if best is None:
            return pieces
        _, place, match, first, last = best
        start, end = self.form.tokens[first].start, self.form.tokens[last].end
        self.spans[start] = end
        if self.secret is not None:
            self.secret.add(start)
        piece, said = pieces[place], self.form.text[start:end]
        how = (
            "said"
            if match.group() == said
            else "lower"
            if match.group() == said.lower()
            else "singular"
        )
        inner = [piece[: match.start()], {"$slot": start, "as": how}, piece[match.end() :]]
        return [*pieces[:place], *(p for p in inner if p != ""), *pieces[place + 1 :]]

    def _runs(self, piece: str) -> list[tuple[int, re.Match[str], int, int]]:
        """Runs of words of `piece` that the request has: (length, where in the piece, first, last token)."""
        tokens = self.form.tokens
        found: list[tuple[int, re.Match[str], int, int]] = []
        words = list(re.finditer(r"[^\W\d_]+(?:['’][^\W\d_]+)?", piece))
        for begin in range(len(words)):
            for first in range(len(tokens)):
                length = 0
                while (
                    begin + length < len(words)
                    and first + length < len(tokens)
                    and length < LONGEST_WORDS
                    and same(words[begin + length].group().lower(), tokens[first + length].word)
                ):
                    length += 1
                taken = [t.word for t in tokens[first : first + length]]
                if length and carries(taken) and self._free(first, first + length - 1):
                    span = re.compile(r"[\s\S]*").match(
                        piece, words[begin].start(), words[begin + length - 1].end()
                    )
                    assert span is not None
                    found.append((length, span, first, first + length - 1))
        return found

    def _free(self, first: int, last: int) -> bool:
        start, end = self.form.tokens[first].start, self.form.tokens[last].end
        return all((s, e) == (start, end) or end <= s or e <= start for s, e in self.spans.items())

    # --- files ----------------------------------------------------------------------------------

    def _file(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {"$file": self._rule([str(value["id"])])}

    def _rule(self, ids: list[str]) -> int:
        """How files are found in another request: by where they are named, or as the only ones of a shape."""
        known = {f.ref.id: f for f in self.files}
        if any(i not in known for i in ids):
            raise NotGeneral("the plan uses a file that did not come with the request")
        named = [c for c in self.form.constants if c.kind == "file" and c.value == ids]
        shape = known[next(i for i in known if i == ids[0])].shape
        if named:
            self.used.add(named[0].start)
            rule: dict[str, Any] = {"slot": named[0].start, "shape": shape}
        else:
            like = [f.ref.id for f in self.files if f.shape == shape]
            if ids != like:
                raise NotGeneral("the request does not say which of its files is meant")
            rule = {"slot": None, "shape": shape, "many": len(ids) > 1}
        if rule not in self.rules:
            self.rules.append(rule)
        return self.rules.index(rule)

    # --- the whole ------------------------------------------------------------------------------

    def title(self, title: str) -> str:
        """A title that names what changes is not kept."""
        values = [self.form.text[c.start : c.end].lower() for c in self.form.constants]
        values += [self.form.text[s:e].lower() for s, e in self.spans.items()]
        return "" if any(v in title.lower() for v in values) else title

    def remembered(
        self,
        plan: dict[str, Any],
        source: Plan,
        catalog: Catalog,
        run: str,
        at: float,
        how: How,
        withheld: set[int],
    ) -> Remembered:
        tokens, slots, places = self._laid_out(withheld)
        plan = _renumbered(plan, places)
        files = tuple(
            {**r, "slot": None if r["slot"] is None else places[r["slot"]]} for r in self.rules
        )
        rest = sorted([*content(tokens), *classes(tokens), *(t for t in tokens if t[0] == "<")])
        names = [f.ref.name for f in self.files]
        return Remembered(
            key=digest([rest, shape_of(plan)]),
            run=run,
            at=at,
            how=how,
            tokens=tokens,
            line=self.form.line(list(self.spans.items())),
            slots=slots,
            plan=plan,
            files=files,
            columns=tuple(self.columns),
            neutral=tuple(sorted(neutral(names))),
            digests={
                n: digest_of(catalog[n]) for n in dict.fromkeys(t.capability for t in source.tasks)
            },
            request=None if withheld else self.form.text,
        )

    def _laid_out(
        self, withheld: set[int]
    ) -> tuple[tuple[str, ...], tuple[Slot, ...], dict[int, int]]:
        """Tokens, slots among them, and the number of the slot that begins at each place of the text."""
        unused = frozenset(
            i
            for i, c in enumerate(self.form.constants)
            if c.kind == "column" and c.start not in self.used
        )
        form = self.form.without(unused)
        tokens: list[str] = []
        slots: list[Slot] = []
        places: dict[int, int] = {}
        until = -1
        for token in form.tokens:
            if token.start < until:
                continue
            here = len(tokens)
            if token.constant is not None:
                constant = form.constants[token.constant]
                fixed = constant.start not in self.used
                if fixed and constant.kind in ("file", "items", "body"):
                    raise NotGeneral(f"the plan does not use the {constant.kind} that is named")
                places[constant.start] = len(slots)
                value = None if constant.start in withheld else constant.value
                slots.append(Slot(constant.kind, here, here + 1, value, constant.unit, fixed))
                tokens.append(token.word)
            elif token.start in self.spans:
                until = self.spans[token.start]
                places[token.start] = len(slots)
                said = None if token.start in withheld else form.text[token.start : until]
                slots.append(Slot("words", here, here + 1, said))
                tokens.append("<words>")
            else:
                tokens.append(token.word)
        return tuple(tokens), tuple(slots), places


def _options(schema: Schema) -> list[Schema]:
    return [schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())]


def _listed(schema: Schema) -> bool:
    return any("enum" in s or "const" in s for s in _options(schema))


def _inside(schema: Schema, name: str | None) -> Schema:
    """The schema of a property, or, without a name, of a list's items; empty when it does not say."""
    for option in _options(schema):
        inner = option.get("items") if name is None else option.get("properties", {}).get(name)
        if isinstance(inner, Mapping):
            return inner
    return {}


def neutral(names: Sequence[str]) -> frozenset[str]:
    """Stems of the words that names of files are made of."""
    return stems(" ".join(re.sub(r"[^a-zA-Z]+", " ", n.rsplit(".", 1)[0]) for n in names))


def _renumbered(value: Any, places: Mapping[int, int]) -> Any:
    if isinstance(value, Mapping):
        if "$slot" in value:
            return {**value, "$slot": places[value["$slot"]]}
        return {k: _renumbered(v, places) for k, v in value.items()}
    return [_renumbered(v, places) for v in value] if isinstance(value, list) else value
