"""From the parts of a question to steps over the table's capabilities."""

import re
from typing import Any

from pointsman.router.planning.tables.conditions import Condition
from pointsman.router.planning.tables.context import NUMERIC, Step, TableContext, quoted
from pointsman.router.planning.tables.links import Link, Links
from pointsman.router.planning.tables.marks import Mark, Marks
from pointsman.router.planning.tables.reading import Reading, measure_json, measure_name
from pointsman.router.planning.tables.words import COMPARATIVES
from pointsman.router.values import Column

_WORDS = {
    "eq": "is", "ne": "is not", "gt": "over", "ge": "at least", "lt": "under", "le": "at most", "contains": "contains",
    "not_contains": "does not contain", "starts_with": "starts with", "ends_with": "ends with", "in": "is one of",
    "not_in": "is none of", "in_month": "in month", "between": "between", "is_null": "is missing", "not_null": "is given",
}  # fmt: skip

_ABOUT_TABLE: tuple[tuple[str, str], ...] = (
    ("size", r"\bhow\s+(?:many\s+(?:rows?\s+and\s+columns?|columns?(?:\s+and\s+rows?)?)\b|(?:big|large|long)\s+is\b)|\bnumber\s+of\s+columns\b"),
    ("columns", r"\b(?:what|which|list|show|name)\b.{0,24}\b(?:columns|fields|headers|variables)\b(?!\s+(?:is|has|with)\b)|\bcolumn\s+names\b|\bschema\b"),
    ("drop", r"\b(?:delete|drop|remove|leave\s+out|without|exclude|omit|hide|get\s+rid\s+of)\b(?=[^.]*\bcolumns?\b)(?!.*\b(?:rows?|where|whose|duplicates?)\b)"),
    ("compare", r"^\W*(?:do|does|did|are|is)\b(?!.*\bthan\b)(?!.*correlat).*\b(?:\w{3,}er|more|less)\b.*\b(?:\w{3,}er|more|less|worse)\b"),
    ("correlate", r"\bcorrelat\w*\b|\brelationship\s+between\b|\brelated\s+to\s+each\s+other\b"),
    ("outliers", r"\boutliers?\b|\banomal(?:y|ies|ous)\b|\bunusual(?:ly)?\b|\b(?:extreme|weird|odd|strange|suspicious|abnormal|implausible|surprising)(?:ly\s+(?:high|low|large|small))?\s+(?:values?|numbers?|figures?|readings?|entr(?:y|ies)|data\s*points?)\b"),
    ("duplicates", r"\bduplicate[sd]?\b|\bdoubles\b|\brepeated\s+(?:rows|records|entries)\b"),
    ("describe", r"^\W*what(?:'s|\s+is|\s+does|\s+do)\b.{0,30}\b(?:file|table|spreadsheet|sheet|csv|data(?:set)?)\b.{0,8}\b(?:contains?|about|in\s+it|includes?|holds?|look\s+like)\W*$"
                 r"|^\W*what(?:'s|\s+is)\s+in\s+(?:the|this|my|that)\s+(?:\w+\s+)?(?:file|table|spreadsheet|sheet|csv|data(?:set)?)\W*$|\bdescribe\b|\b(?:summary\s+)?statistics\b|\bstats\b|\b(?:overview|profile)\s+of\b|\bsummar(?:y|i[sz]e)\b.{0,16}\b(?:table|dataset|data|columns?|file|csv)\b"),
)  # fmt: skip
_PATTERNS = tuple((kind, re.compile(p, re.IGNORECASE)) for kind, p in _ABOUT_TABLE)


def about_table(text: str, marks: Marks, links: Links, table: TableContext) -> tuple[Step, ...]:
    """Steps of a question about the table as a whole; none when it is another question."""
    for kind, pattern in _PATTERNS:
        said = pattern.search(text)
        if said is None:
            continue
        named = [
            m.links[0].column
            for m in marks.items
            if m.kind == "column" and not (m.start < said.end() and said.start() < m.end)
        ]
        numeric = [
            link.column.name
            for m in marks.items
            if m.kind == "column"
            for link in [_measured(m, links)]
            if link is not None
        ]
        match kind:
            case "drop":
                step = _kept_columns(named, table)
            case "compare":
                both = _compared(marks, links, numeric)
                step = _table_step("correlate", [], both, links) if both else None
            case _:
                step = _table_step(kind, [c.name for c in named], numeric, links)
        if step is None:
            continue
        for i, mark in enumerate(marks.items):
            inside = mark.start < said.end() and said.start() < mark.end
            if inside or mark.kind in ("column", "rows"):
                marks.use(i)
        return (step,)
    return ()


def _compared(marks: Marks, links: Links, numeric: list[str]) -> list[str]:
    """ "do longer books get better ratings": two numbers, one of them perhaps only in an adjective."""
    found = dict.fromkeys(numeric)
    for mark in marks.items:
        _, concepts = COMPARATIVES.get(mark.word, ("", ()))
        for link in links.with_concept(*concepts)[:1]:
            if link.column.type in NUMERIC:
                found[link.column.name] = None
    return list(found) if len(found) == 2 else []


def _kept_columns(named: list[Column], table: TableContext) -> Step | None:
    """All columns but those that are named."""
    dropped = {c.name for c in named}
    kept = [c.name for c in table.columns if c.name not in dropped]
    if not dropped or not kept:
        return None
    return Step("table.select", {"columns": kept}, "Leave out " + ", ".join(sorted(dropped)))


def _measured(mark: Mark, links: Links) -> Link | None:
    """The number that a mark names; no identifier is one."""
    return next(
        (k for k in mark.links if k.column.type in NUMERIC and not links.is_identifier(k.column)),
        None,
    )


def _table_step(kind: str, named: list[str], numeric: list[str], links: Links) -> Step | None:
    match kind:
        case "size" | "columns":
            return Step("table.describe", {}, "Describe the columns")
        case "correlate":
            columns = list(dict.fromkeys(numeric))
            if len(columns) == 1:
                columns = []
            arguments: dict[str, Any] = {"columns": columns} if columns else {}
            return Step(
                "table.correlate", arguments, "Correlate " + (" and ".join(columns) or "numbers")
            )
        case "outliers":
            if not numeric:
                candidates = [
                    c.name
                    for c in links.typed(frozenset({"integer", "number"}))
                    if not links.is_identifier(c)
                ]
                numeric = candidates if len(candidates) == 1 else []
            return (
                Step("table.outliers", {"column": numeric[0]}, f"Find outliers in {numeric[0]}")
                if numeric
                else None
            )
        case "duplicates":
            columns = list(dict.fromkeys(named))
            return Step(
                "table.duplicates", {"columns": columns} if columns else {}, "Find duplicate rows"
            )
        case _:
            columns = list(dict.fromkeys(named))
            return Step(
                "table.describe", {"columns": columns} if columns else {}, "Describe the table"
            )


def steps_of(reading: Reading) -> tuple[Step, ...]:
    """The shortest chain of steps that gives what was asked."""
    if reading.never:
        return _without(reading)
    if reading.beyond is not None:
        return _beyond(reading)
    steps = _best(reading) or (_aggregated(reading) if reading.aggregates else _rows(reading))
    if reading.periods:
        where = {"where": [c.to_json() for c in reading.periods], "match": "any"}
        title = "Keep rows where " + _said(reading.periods, " or ")
        steps.insert(0, Step("table.filter", where, title))
    if reading.chart:
        steps.append(_chart(reading))
    return tuple(steps)


def _without(reading: Reading) -> tuple[Step, ...]:
    """Groups none of whose rows meets the conditions: those of which that share is none."""
    column, said = reading.groups[0][0], _said(reading.never)
    arguments = {
        "measures": [{"fn": "share"}],
        "by": [{"column": column}],
        "where": [c.to_json() for c in reading.never],
    }
    none = {"where": [{"column": "share", "op": "eq", "value": 0}]}
    return (
        Step("table.aggregate", arguments, f"Share of rows by {column} where {said}"),
        Step("table.filter", none, f"Keep those without a row where {said}"),
        Step("table.select", {"columns": [column]}, f"Show {column}"),
    )


def _beyond(reading: Reading) -> tuple[Step, ...]:
    """Rows beyond a figure of all rows that meet the conditions; how many, where that is asked."""
    assert reading.beyond is not None
    column, sign, function = reading.beyond
    steps = _kept(reading)
    query = f"SELECT * FROM t WHERE {quoted(column)} {sign} (SELECT {function}({quoted(column)}) FROM t)"
    title = f"Keep rows whose {column} is {sign} the {function} of all"
    steps.append(Step("table.sql", {"query": query}, title))
    if ("count", None) in reading.measures:
        steps.append(Step("table.aggregate", {"measures": [{"fn": "count"}]}, "Count them"))
    return tuple(steps)


def _best(reading: Reading) -> list[Step]:
    """Each group's first rows by a column, whole; ties are kept."""
    if reading.best_of is None or len(reading.groups) != 1 or reading.chart or reading.having:
        return []
    group, best = reading.groups[0][0], reading.best_of
    way = "DESC" if reading.descending else "ASC"
    kept = f"<= {reading.limit}" if reading.limit else "= 1"
    query = (
        f"SELECT * FROM t WHERE {quoted(best)} IS NOT NULL QUALIFY rank() OVER "
        f"(PARTITION BY {quoted(group)} ORDER BY {quoted(best)} {way}) {kept} "
        f"ORDER BY {quoted(group)}, {quoted(best)} {way}"
    )
    steps = _kept(reading)
    which = "highest" if reading.descending else "lowest"
    steps.append(Step("table.sql", {"query": query}, f"The {which} {best} of each {group}"))
    return steps


def _kept(reading: Reading) -> list[Step]:
    """The filter by the conditions, if there are any."""
    if not reading.where:
        return []
    arguments: dict[str, Any] = {"where": [c.to_json() for c in reading.where]}
    if reading.any_of:
        arguments["match"] = "any"
    return [Step("table.filter", arguments, "Keep rows where " + _said(reading.where))]


def _rows(reading: Reading) -> list[Step]:
    steps = _kept(reading)
    if reading.sort is not None:
        arguments: dict[str, Any] = {"by": reading.sort, "descending": reading.descending}
        if reading.limit:
            arguments["limit"] = reading.limit
        steps.append(Step("table.sort", arguments, f"Sort by {reading.sort}"))
    elif (
        reading.select
        and not reading.chart
        and (reading.distinct or reading.listed or not reading.where)
    ) or (reading.limit and not reading.chart):
        arguments = (
            {"columns": list(dict.fromkeys(reading.select))} if reading.select else {"columns": []}
        )
        if reading.distinct:
            arguments["distinct"] = True
        if reading.limit:
            arguments["limit"] = reading.limit
        steps.append(
            Step("table.select", arguments, "Show " + (", ".join(reading.select) or "rows"))
        )
    return steps


def _aggregated(reading: Reading) -> list[Step]:
    steps: list[Step] = []
    for condition in reading.having:
        reading.measure(condition.function or "count", condition.column)
    measures = reading.measures or [("count", None)]
    arguments: dict[str, Any] = {"measures": [measure_json(f, c) for f, c in measures]}
    if reading.groups:
        arguments["by"] = [
            {"column": c, "grain": g} if g else {"column": c} for c, g in reading.groups
        ]
    if reading.base:
        base = {"where": [c.to_json() for c in reading.base]}
        steps.append(Step("table.filter", base, "Keep rows where " + _said(reading.base)))
    if reading.where and reading.any_of and len(reading.where) > 1:
        steps.append(
            Step(
                "table.filter",
                {"where": [c.to_json() for c in reading.where], "match": "any"},
                "Keep rows where " + _said(reading.where),
            )
        )
    elif reading.where:
        arguments["where"] = [c.to_json() for c in reading.where]
    first = measure_name(*measures[0])
    if reading.ordered and reading.groups:
        arguments |= {"sort": _sort_name(reading, first), "descending": reading.descending}
    if reading.limit and reading.groups and not reading.having:
        arguments["limit"] = reading.limit
    steps.append(Step("table.aggregate", arguments, _title(reading, measures)))
    if reading.having:
        after = [
            {"column": measure_name(c.function or "count", c.column), "op": c.op, "value": c.value}
            for c in reading.having
        ]
        steps.append(Step("table.filter", {"where": after}, "Keep groups that match"))
    elif reading.share_of is not None and reading.groups:
        steps.append(
            Step(
                "table.filter",
                {"where": [reading.share_of.to_json()]},
                "Keep " + _said([reading.share_of]),
            )
        )
    return steps


def _sort_name(reading: Reading, first: str) -> str:
    if reading.sort is None:
        return first
    for function, column in reading.measures:
        if column == reading.sort:
            return measure_name(function, column)
    for column, grain in reading.groups:
        if column == reading.sort:
            return group_name(column, grain)
    return first


def group_name(column: str, grain: str | None) -> str:
    """The name of a group's column in the result."""
    return f"{grain} of {column}" if grain else column


def _chart(reading: Reading) -> Step:
    arguments: dict[str, Any] = {"kind": reading.chart}
    if reading.aggregates and reading.groups:
        arguments["x"] = group_name(*reading.groups[0])
        arguments["y"] = measure_name(*(reading.measures or [("count", None)])[0])
    elif reading.chart_columns:
        columns = reading.chart_columns
        if reading.chart == "auto":
            arguments["kind"] = "scatter" if len(columns) > 1 else "histogram"
        if len(columns) > 1:
            # "plot price against weight": the first is the vertical axis.
            arguments |= {"x": columns[1], "y": columns[0]}
        else:
            arguments["x"] = columns[0]
    return Step("chart.draw", arguments, "Draw a chart")


def _title(reading: Reading, measures: list[tuple[str, str | None]]) -> str:
    what = ", ".join(measure_name(f, c) for f, c in measures)
    groups = ", ".join(group_name(c, g) for c, g in reading.groups)
    title = what[:1].upper() + what[1:] + (f" by {groups}" if groups else "")
    return title + (f" where {_said(reading.where)}" if reading.where else "")


def _said(conditions: list[Condition], link: str = " and ") -> str:
    parts = []
    for c in conditions:
        value = " and ".join(map(str, c.value)) if isinstance(c.value, list) else c.value
        parts.append(
            f"{c.column} {_WORDS[c.op]}" + ("" if c.op in ("is_null", "not_null") else f" {value}")
        )
    return link.join(parts)
