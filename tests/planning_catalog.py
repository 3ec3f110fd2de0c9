"""A catalog for planner tests: the built-in capabilities' names, parameters and outputs, described anew.

The planner's tests must not depend on the wording of the real experts' examples, so these differ.
"""

from collections.abc import Mapping
from typing import Any

from pointsman.router.catalog import Capability, Catalog, Prior
from pointsman.router.values import ANSWER, FILE, PICTURE, QUANTITY, TABLE, TEXT, TEXTS, Schema

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
OPTIONAL: Schema = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
STRINGS: Schema = {"type": "array", "items": {"type": "string"}}
SOME: Schema = {"anyOf": [STRINGS, {"type": "null"}], "default": None}
FLAG: Schema = {"type": "boolean", "default": False}
ROWS: Schema = {"type": "array", "items": {"type": "object"}}


def one_of(*values: str) -> Schema:
    return {"enum": list(values), "type": "string"}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}], "default": None}


def number(default: float) -> Schema:
    return {"type": "integer" if isinstance(default, int) else "number", "default": default}


def adds(*columns: tuple[str, str]) -> Schema:
    return {**TABLE, "x-adds": [{"name": n, "type": t} for n, t in columns]}


def has(*columns: tuple[str, str]) -> Schema:
    return {**TABLE, "x-columns": [{"name": n, "type": t} for n, t in columns]}


def cap(
    name: str,
    title: str,
    description: str,
    output: Schema,
    examples: list[str],
    latency: float = 0.05,
    /,
    **parameters: Schema,
) -> Capability:
    properties = {k.rstrip("_"): v for k, v in parameters.items()}
    required = [k for k, v in properties.items() if "default" not in v]
    schema: Mapping[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return Capability(
        name, description, schema, output, title, tuple(examples), prior=Prior(latency=latency)
    )


TABLES = (
    cap(
        "table.read",
        "read a table",
        "Reads a table from a CSV, Parquet, JSON or XLSX file.",
        TABLE,
        [
            "open sales.csv",
            "show me what is in data.xlsx",
            "load the spreadsheet",
            "read orders.parquet",
        ],
        file=FILE,
        sheet=OPTIONAL,
    ),
    cap(
        "table.filter",
        "keep some rows",
        "Keeps the rows of a table that meet conditions on columns.",
        TABLE,
        [
            "only rows where price is above 100",
            "orders from Germany",
            "rows with status open",
            "keep customers older than 30",
        ],
        table=TABLE,
        where=ROWS,
        match={**one_of("all", "any"), "default": "all"},
    ),
    cap(
        "table.aggregate",
        "group and sum up",
        "Groups rows and computes counts, sums, means, medians, minima and maxima.",
        TABLE,
        [
            "total revenue per country",
            "how many orders are there",
            "average price by category",
            "sales per month",
            "what is the highest salary",
        ],
        table=TABLE,
        measures=ROWS,
        by={**ROWS, "default": []},
        where={**ROWS, "default": []},
        sort=OPTIONAL,
        descending={"type": "boolean", "default": True},
        limit=maybe(INTEGER),
    ),
    cap(
        "table.sort",
        "sort rows",
        "Sorts the rows of a table by a column and keeps the first ones.",
        TABLE,
        [
            "sort by price",
            "the ten most expensive products",
            "order by date, newest first",
            "top 5 by count",
        ],
        table=TABLE,
        by=STRING,
        descending={"type": "boolean", "default": True},
        limit=maybe(INTEGER),
    ),
    cap(
        "table.select",
        "keep some columns",
        "Keeps the named columns of a table, or its distinct values.",
        TABLE,
        [
            "only the columns name and email",
            "which countries are there",
            "list the distinct products",
        ],
        table=TABLE,
        columns=STRINGS,
        distinct=FLAG,
        limit=maybe(INTEGER),
    ),
    cap(
        "table.describe",
        "describe columns",
        "Statistics of every column: type, missing values, distinct values, minimum, maximum, mean.",
        has(
            ("column", "text"),
            ("type", "text"),
            ("filled", "integer"),
            ("missing", "integer"),
            ("distinct", "integer"),
            ("mean", "number"),
        ),
        [
            "describe the data",
            "which columns have missing values",
            "summary statistics of sales.csv",
            "profile this table",
        ],
        table=TABLE,
        columns=SOME,
    ),
    cap(
        "table.correlate",
        "correlate columns",
        "Pearson correlation of every pair of numeric columns.",
        has(("first", "text"), ("second", "text"), ("correlation", "number")),
        [
            "is price related to rating",
            "correlation between age and income",
            "which columns move together",
        ],
        table=TABLE,
        columns=SOME,
    ),
    cap(
        "table.outliers",
        "find outliers",
        "Rows whose value in a column is unusually high or low.",
        TABLE,
        ["find outliers in price", "unusual amounts", "which orders are abnormally large"],
        table=TABLE,
        column=STRING,
    ),
    cap(
        "table.join",
        "join two tables",
        "Joins two tables on a shared column.",
        TABLE,
        [
            "join orders.csv with customers.csv",
            "combine the two tables by id",
            "match customers to their orders",
        ],
        left=TABLE,
        right=TABLE,
        on=OPTIONAL,
        how={**one_of("inner", "left"), "default": "inner"},
    ),
    cap(
        "table.sql",
        "run SQL",
        "Runs a read-only SQL query over tables.",
        TABLE,
        ["SELECT country, sum(amount) FROM sales GROUP BY country"],
        tables={"x-kind": ["table", "list"], "anyOf": [TABLE, {"type": "array", "items": TABLE}]},
        query=STRING,
    ),
    cap(
        "table.duplicates",
        "find repeated rows",
        "Rows that occur more than once, exactly the same.",
        TABLE,
        ["are there duplicate rows", "find repeated records", "exact duplicates in customers.csv"],
        table=TABLE,
        columns=SOME,
    ),
    cap(
        "table.export",
        "save as a file",
        "Saves a table as a CSV, XLSX, JSON or Parquet file to download.",
        FILE,
        [
            "save it as xlsx",
            "export to csv",
            "give me the result as an Excel file",
            "convert data.json to csv",
        ],
        table=TABLE,
        format={**one_of("csv", "xlsx", "json", "parquet"), "default": "csv"},
        name=OPTIONAL,
    ),
    cap(
        "text.read",
        "read documents",
        "Reads text files: plain text, markdown, HTML.",
        has(("file", "text"), ("text", "text")),
        ["open notes.txt", "read the documents", "show policy.md"],
        files={"type": "array", "items": FILE},
    ),
    cap(
        "chart.draw",
        "draw a chart",
        "Draws a bar, line, scatter, pie chart or histogram of a table.",
        PICTURE,
        [
            "plot revenue per month",
            "draw a bar chart of counts by category",
            "pie chart of market share",
            "histogram of ages",
        ],
        0.5,
        table=TABLE,
        kind={**one_of("bar", "line", "scatter", "pie", "histogram", "auto"), "default": "auto"},
        x=OPTIONAL,
        y=OPTIONAL,
        title=OPTIONAL,
    ),
)

TOOLS = (
    cap(
        "math.calculate",
        "calculate",
        "Exact decimal arithmetic.",
        QUANTITY,
        ["12 * 7", "what is 15% of 240", "multiply that by 12", "square root of 2", "add 5 and 9"],
        expression=STRING,
        variables=maybe({"type": "object", "additionalProperties": QUANTITY}),
    ),
    cap(
        "units.convert",
        "convert units",
        "Converts a quantity to another unit.",
        QUANTITY,
        [
            "convert 3 miles to kilometres",
            "how many grams are in 2 pounds",
            "72 fahrenheit in celsius",
        ],
        value=QUANTITY,
        to=STRING,
        from_unit=OPTIONAL,
    ),
    cap(
        "date.difference",
        "time between dates",
        "How much time lies between two dates.",
        QUANTITY,
        [
            "how many days between 1 May 2024 and 3 June 2024",
            "weeks until Christmas",
            "workdays from today to 2025-01-31",
        ],
        start=STRING,
        end=STRING,
        unit={**one_of("days", "weeks", "months", "years", "hours", "workdays"), "default": "days"},
    ),
    cap(
        "date.shift",
        "shift a date",
        "A date some days, weeks, months or years before or after another.",
        {"type": "string"},
        [
            "what date is 90 days after 2024-03-01",
            "3 weeks from today",
            "two months before 5 June 2025",
        ],
        date=STRING,
        amount=INTEGER,
        unit={**one_of("days", "weeks", "months", "years", "workdays"), "default": "days"},
    ),
    cap(
        "date.describe",
        "describe a date",
        "Weekday, week, quarter of a date.",
        {"type": "object"},
        [
            "what day of the week is 2024-07-04",
            "which quarter is 5 May 2025 in",
            "is 2028 a leap year",
        ],
        date=STRING,
    ),
    cap(
        "text.count",
        "count words",
        "Counts the words, characters, lines, sentences or paragraphs of a text, or a phrase in it.",
        QUANTITY,
        [
            "how many words are in notes.txt",
            "word count of the report",
            "how often does 'urgent' occur",
        ],
        text=TEXTS,
        what={
            **one_of("words", "characters", "lines", "sentences", "paragraphs"),
            "default": "words",
        },
        phrase=OPTIONAL,
    ),
    cap(
        "text.word_frequency",
        "most frequent words",
        "The most frequent words of a text.",
        has(("word", "text"), ("count", "integer")),
        ["most common words in speech.txt", "top 20 words", "word frequencies"],
        text=TEXTS,
        limit=number(10),
    ),
    cap(
        "text.replace",
        "find and replace",
        "Replaces a phrase or a regular expression in a text.",
        TEXT,
        [
            "replace 'foo' with 'bar' in notes.txt",
            "change every Acme to Globex",
            "substitute colour for color",
        ],
        text=TEXTS,
        find=STRING,
        replacement=STRING,
        regex=FLAG,
    ),
    cap(
        "text.change_case",
        "change case",
        "Puts a text in upper, lower, title or sentence case.",
        TEXT,
        [
            "make it upper case",
            "convert notes.txt to lowercase",
            "title case for 'the lord of the rings'",
        ],
        text=TEXTS,
        case=one_of("upper", "lower", "title", "sentence"),
    ),
    cap(
        "text.find",
        "find lines",
        "Lines of a text that contain a phrase or match a regular expression.",
        has(("file", "text"), ("line", "integer"), ("text", "text")),
        [
            "lines that contain 'error' in server.log",
            "grep TODO in main.txt",
            "find lines matching /\\d+/",
        ],
        text=TEXTS,
        pattern=STRING,
        regex=FLAG,
    ),
    cap(
        "text.sort_lines",
        "sort lines",
        "Sorts the lines of a text alphabetically.",
        TEXT,
        ["sort the lines of names.txt", "alphabetise this list"],
        text=TEXTS,
        descending=FLAG,
        unique=FLAG,
    ),
    cap(
        "http.get",
        "fetch a page",
        "Fetches the text of a web page.",
        TEXT,
        ["fetch https://example.com", "download the page http://example.org/a", "get this url"],
        0.8,
        url=STRING,
    ),
)

COLUMN = OPTIONAL
MODELS = (
    cap(
        "text.embed",
        "embed texts",
        "Vectors of texts.",
        {"type": "array"},
        ["embed these sentences", "embedding vectors"],
        texts=TEXTS,
    ),
    cap(
        "text.search",
        "search by meaning",
        "Finds the texts or passages whose meaning is nearest to a query.",
        has(("score", "number"), ("file", "text"), ("text", "text")),
        [
            "search my notes for refund policy",
            "find passages about security",
            "which document talks about holidays",
            "look for texts on climate",
        ],
        0.3,
        texts=TEXTS,
        query=STRING,
        limit=number(5),
        column=COLUMN,
    ),
    cap(
        "text.duplicates",
        "find near-duplicates",
        "Texts that say nearly the same in other words.",
        has(("group", "integer"), ("similarity", "number"), ("text", "text")),
        ["near-duplicate questions", "which tickets say the same thing", "find similar reviews"],
        0.4,
        texts=TEXTS,
        column=COLUMN,
        threshold=number(0.85),
    ),
    cap(
        "text.topics",
        "group by topic",
        "Groups texts by topic, with readable labels and counts.",
        has(("topic", "text"), ("count", "integer"), ("share", "number"), ("examples", "json")),
        [
            "what are these reviews about",
            "group them by topic",
            "main themes in the feedback",
            "cluster the tickets",
            "main complaints",
        ],
        0.6,
        texts=TEXTS,
        column=COLUMN,
        count=maybe(INTEGER),
    ),
    cap(
        "text.key_phrases",
        "extract key phrases",
        "The most telling phrases of texts.",
        has(("phrase", "text"), ("score", "number"), ("count", "integer")),
        ["keywords of report.txt", "key phrases", "what are the most important terms"],
        0.3,
        texts=TEXTS,
        limit=number(10),
        column=COLUMN,
    ),
    cap(
        "text.summarize",
        "summarise",
        "A short extractive summary of texts.",
        TEXT,
        [
            "summarise report.txt",
            "tl;dr",
            "give me the gist in 3 sentences",
            "what does the article say in short",
        ],
        0.4,
        texts=TEXTS,
        sentences=number(3),
        column=COLUMN,
    ),
    cap(
        "text.answer",
        "answer from documents",
        "Answers a question with a quote from documents.",
        ANSWER,
        [
            "according to policy.md, who approves travel",
            "what does the contract say about termination",
            "how long is the warranty",
        ],
        0.4,
        texts=TEXTS,
        question=STRING,
        column=COLUMN,
    ),
    cap(
        "text.classify",
        "label texts",
        "Gives each text one of the given labels.",
        adds(("label", "text"), ("confidence", "number")),
        [
            "label each ticket as bug or billing",
            "classify the messages into spam and not spam",
            "categorise as urgent or not urgent",
        ],
        0.4,
        texts=TEXTS,
        labels=STRINGS,
        column=COLUMN,
    ),
    cap(
        "text.filter",
        "keep texts that match",
        "Keeps the texts that are about something or match a criterion in words.",
        adds(("match", "number")),
        [
            "tickets about billing",
            "angry messages",
            "which reviews mention delivery problems",
            "only questions",
        ],
        0.4,
        texts=TEXTS,
        criterion=STRING,
        column=COLUMN,
    ),
    cap(
        "text.sentiment",
        "judge sentiment",
        "Whether each text is positive, neutral or negative.",
        adds(("sentiment", "text"), ("sentiment_score", "number")),
        [
            "sentiment of each review",
            "which comments are negative",
            "how do customers feel",
            "are the tweets positive",
        ],
        0.4,
        texts=TEXTS,
        column=COLUMN,
    ),
    cap(
        "text.emotion",
        "detect emotion",
        "The emotion of each text: anger, joy, sadness and others.",
        adds(("emotion", "text"), ("emotion_score", "number")),
        ["emotion of each message", "which mails sound angry", "who is sad"],
        0.4,
        texts=TEXTS,
        column=COLUMN,
    ),
    cap(
        "text.entities",
        "extract entities",
        "People, organisations, places, dates, amounts and contact details in texts.",
        has(
            ("type", "text"),
            ("value", "text"),
            ("normalized", "text"),
            ("count", "integer"),
            ("file", "text"),
            ("context", "text"),
        ),
        [
            "names and dates in contract.txt",
            "which companies are mentioned",
            "extract email addresses",
            "all amounts of money",
        ],
        0.4,
        texts=TEXTS,
        types=maybe(
            {
                "type": "array",
                "items": one_of(
                    "person",
                    "organization",
                    "location",
                    "product",
                    "date",
                    "time",
                    "money",
                    "percent",
                    "quantity",
                    "email",
                    "phone",
                    "url",
                ),
            }
        ),
        column=COLUMN,
    ),
)


def catalog() -> Catalog:
    return Catalog([*TABLES, *TOOLS, *MODELS])
