"""The words with which people ask about tables: what they call columns, operations and orders.

A compact lexicon. Column names and questions are compared as sets of stems after splitting snake_case
and camelCase and expanding abbreviations; words of one concept stand for each other.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

ABBREVIATIONS: dict[str, str] = {
    "qty": "quantity", "qnty": "quantity", "amt": "amount", "cust": "customer", "dept": "department",
    "dep": "department", "num": "number", "nr": "number", "no": "number", "avg": "average",
    "addr": "address", "desc": "description", "temp": "temperature", "dob": "birth date",
    "tel": "phone", "cat": "category", "prod": "product", "mgr": "manager", "yr": "year", "yrs": "years",
    "mo": "month", "ctry": "country", "cntry": "country", "lat": "latitude", "lon": "longitude",
    "lng": "longitude", "dist": "distance", "dur": "duration", "emp": "employee", "sal": "salary",
    "rev": "revenue", "inv": "invoice", "acct": "account", "dt": "date", "ts": "timestamp",
    "mail": "email", "ord": "order", "pct": "percent", "pmt": "payment", "hum": "humidity",
    "ppl": "people", "wt": "weight", "ht": "height", "val": "value", "sqft": "area square feet",
    "sqm": "area square metres", "m2": "area square metres", "bdrm": "bedroom", "bldg": "building",
    "rm": "room", "loc": "location", "org": "organization", "pos": "position", "resp": "response",
    "cnt": "count", "birthday": "birth date", "birthdate": "birth date", "born": "birth date", "max": "maximum", "mins": "minutes", "min": "minutes", "hrs": "hours", "hr": "hours", "secs": "seconds",
    "pop": "population", "stu": "student", "dest": "destination", "orig": "origin", "pres": "pressure",
    "tot": "total", "unt": "unit", "st": "status", "sts": "status", "rgn": "region", "reg": "region",
    "nm": "name", "fname": "first name", "lname": "last name", "firstname": "first name",
    "lastname": "last name", "zip": "postal code", "postcode": "postal code", "cd": "code",
    "prc": "price", "disc": "discount", "sup": "supplier", "vend": "vendor", "pric": "price",
}  # fmt: skip

# The first words are the concept's own; a column named by any word of a line answers to all of them.
CONCEPTS: tuple[tuple[str, ...], ...] = tuple(
    tuple(line.split())
    for line in """
    revenue selling sales turnover income amount total earnings takings proceeds value spend spent spending expenditure paid sum cost sold sell earn earned earning worth money brought bring brings generated generate generates
    price cost fare fee charge tariff expensive cheap priced rate amount
    salary pay wage compensation remuneration income earn earned earning paid earnings
    quantity selling units unit pieces items volume count sold sell number bought
    profit margin gain
    discount rebate
    date day when time timestamp datetime
    customer client buyer shopper account purchaser user consumer
    employee worker staff colleague person people member name
    name title label
    product item article good sku merchandise model
    category type kind class genre group segment
    country nation land
    city town place municipality
    region area territory zone state province
    location place where site address city
    department division team
    gender sex male female men women
    status state condition stage situation
    rating score stars grade mark review satisfaction
    score grade mark points result
    email e-mail mail
    phone telephone mobile
    supplier vendor manufacturer maker brand
    store shop branch outlet
    manager boss supervisor lead
    weight mass weigh heavy light
    height tall
    area size surface space
    distance far
    duration length lasted last took long minutes runtime stay elapsed
    speed velocity fast
    temperature hot cold warm degrees
    priority urgency severity urgent
    agent assignee handler owner assigned
    origin departure from departing source
    destination arrival arriving to
    airline carrier
    hire hired joined start started
    birth born
    age old
    subject course
    attendance present
    sensor device station
    year built construction
    seats capacity
    resolution resolve resolved solve solved close closed
    created opened submitted raised reported
    order purchase transaction sale
    ticket issue case request
    house home property listing
    channel source medium
    payment paid
    quarter
    month
    shipping delivery shipped delivered
    returned return refund refunded
    churn churned left cancelled
    education degree
    experience seniority tenure
    """.strip().splitlines()
)

Function = Literal["count", "count_distinct", "sum", "mean", "median", "min", "max", "std", "share"]

# Phrases that name a function; the longest that matches counts.
FUNCTIONS: dict[str, Function] = {
    "how many times": "count", "how many": "count", "number of": "count", "how often": "count",
    "count of": "count", "count up": "count", "count": "count", "counts": "count",
    "frequency": "count", "no. of": "count", "tally": "count", "numbers of": "count",
    "how many distinct": "count_distinct", "how many different": "count_distinct",
    "how many unique": "count_distinct", "number of distinct": "count_distinct",
    "number of different": "count_distinct", "number of unique": "count_distinct",
    "count distinct": "count_distinct", "distinct count of": "count_distinct",
    "distinct number of": "count_distinct", "count unique": "count_distinct",
    "count the distinct": "count_distinct", "count the unique": "count_distinct",
    "total number of": "count", "overall number of": "count", "total count of": "count",
    "unique count of": "count_distinct", "sum of": "sum", "sum": "sum", "sum up": "sum", "total": "sum",
    "totals": "sum", "overall": "sum", "combined": "sum", "altogether": "sum", "in total": "sum",
    "in all": "sum", "how much": "sum", "add up": "sum", "total up": "sum", "cumulative": "sum",
    "average": "mean", "averages": "mean", "avg": "mean", "mean": "mean", "typical": "mean",
    "on average": "mean", "the average of": "mean", "median": "median", "minimum": "min", "min": "min",
    "maximum": "max", "max": "max", "standard deviation": "std", "std": "std", "stdev": "std",
    "spread": "std", "variability": "std", "std dev": "std", "share": "share", "shares": "share",
    "percentage": "share", "percentages": "share", "percent": "share", "proportion": "share",
    "fraction": "share", "portion": "share", "what part": "share", "%": "share", "pct": "share",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Superlative:
    """Direction in which a word orders rows, and the concepts of the columns it speaks of.

    `inverse`: concepts that it orders the other way round ("oldest": high age, early date).
    """

    descending: bool
    concepts: tuple[str, ...] = ()
    inverse: tuple[str, ...] = ()


def _superlatives() -> dict[str, Superlative]:
    plain = {True: "most highest largest biggest greatest top best maximum max", False: "least lowest smallest fewest worst bottom minimum min"}  # fmt: skip
    table = {w: Superlative(d) for d, words in plain.items() for w in words.split()}
    meaning: tuple[tuple[str, bool, str, str], ...] = (
        ("cheapest", False, "price fare cost", ""),
        ("priciest costliest dearest", True, "price fare cost", ""),
        ("oldest", True, "age", "birth hire year date"),
        ("youngest", False, "age", "birth hire year date"),
        ("newest latest recent", True, "date hire year created time", "age"),
        ("earliest", False, "date hire year created time", ""),
        ("longest", True, "duration length distance experience pages", "hire date"),
        ("shortest", False, "duration length height distance pages", "hire date"),
        ("heaviest", True, "weight", ""),
        ("lightest", False, "weight", ""),
        ("tallest", True, "height", ""),
        ("fastest quickest", True, "speed", "duration time resolution"),
        ("slowest", False, "speed", "duration time resolution"),
        ("hottest warmest", True, "temperature", ""),
        ("coldest coolest", False, "temperature", ""),
        ("farthest furthest", True, "distance", ""),
        ("nearest closest", False, "distance", ""),
        ("richest wealthiest", True, "salary revenue", ""),
        ("poorest", False, "salary revenue", ""),
    )
    for words, descending, concepts, inverse in meaning:
        for word in words.split():
            table[word] = Superlative(descending, tuple(concepts.split()), tuple(inverse.split()))
    return table


SUPERLATIVES = _superlatives()
# "most expensive", "least popular": the adjective after most/least names the concept.
ADJECTIVES = {
    "recently": ("date", "created"), "expensive": ("price", "fare", "cost"), "costly": ("price", "cost"), "recent": ("date", "created"),
    "experienced": ("experience",), "profitable": ("profit",), "populous": ("population",),
    "valuable": ("value", "price"), "urgent": ("priority",), "productive": ("output", "revenue"),
    "crowded": ("capacity",), "spacious": ("area",), "humid": ("humidity",),
}  # fmt: skip
COMPARATIVES = {
    "older": ("gt", ("age",)), "younger": ("lt", ("age",)), "cheaper": ("lt", ("price", "fare", "cost")),
    "pricier": ("gt", ("price", "fare", "cost")), "expensive": ("gt", ("price", "fare", "cost")),
    "heavier": ("gt", ("weight",)), "lighter": ("lt", ("weight",)), "taller": ("gt", ("height",)),
    "longer": ("gt", ("duration", "length", "distance", "pages")), "shorter": ("lt", ("duration", "length", "height", "pages")),
    "hotter": ("gt", ("temperature",)), "warmer": ("gt", ("temperature",)),
    "colder": ("lt", ("temperature",)), "cooler": ("lt", ("temperature",)),
    "bigger": ("gt", ("area", "size")), "larger": ("gt", ("area", "size")), "smaller": ("lt", ("area", "size")),
    "richer": ("gt", ("salary", "revenue")), "poorer": ("lt", ("salary", "revenue")),
    "faster": ("gt", ("speed",)), "slower": ("lt", ("speed",)),
}  # fmt: skip

# Longest first when matched. Values are the predicate's operator.
COMPARISONS = {
    "greater than or equal to": "ge", "more than or equal to": "ge", "less than or equal to": "le",
    "no less than": "ge", "not less than": "ge", "at least": "ge", "minimum of": "ge", "a minimum of": "ge",
    "no more than": "le", "not more than": "le", "at most": "le", "maximum of": "le", "a maximum of": "le",
    "up to": "le", "more than": "gt", "greater than": "gt", "higher than": "gt", "larger than": "gt",
    "bigger than": "gt", "above": "gt", "over": "gt", "exceeding": "gt", "exceeds": "gt", "exceed": "gt",
    "exceeded": "gt", "beyond": "gt", "less than": "lt", "fewer than": "lt", "lower than": "lt",
    "smaller than": "lt", "below": "lt", "under": "lt", "beneath": "lt", "not equal to": "ne",
    "different from": "ne", "equal to": "eq", "equals": "eq", "equal": "eq", "exactly": "eq", ">=": "ge",
    "<=": "le", "≥": "ge", "≤": "le", "!=": "ne", "<>": "ne", ">": "gt", "<": "lt", "==": "eq", "=": "eq",
    "or more": "post_ge", "or higher": "post_ge", "or above": "post_ge", "and up": "post_ge",
    "or over": "post_ge", "and above": "post_ge", "and over": "post_ge", "or older": "post_ge",
    "or less": "post_le", "or fewer": "post_le", "or lower": "post_le", "or below": "post_le",
    "and below": "post_le", "or under": "post_le", "or younger": "post_le", "or better": "post_ge",
    "upwards of": "ge", "above or equal to": "ge",
}  # fmt: skip
TEXT_OPERATORS = {
    "starting with": "starts_with", "starts with": "starts_with", "start with": "starts_with",
    "beginning with": "starts_with", "begins with": "starts_with", "begin with": "starts_with",
    "ending with": "ends_with", "ends with": "ends_with", "end with": "ends_with", "ending in": "ends_with",
    "ends in": "ends_with", "end in": "ends_with", "does not contain": "not_contains",
    "do not contain": "not_contains", "not containing": "not_contains", "doesn't contain": "not_contains",
    "don't contain": "not_contains", "containing": "contains", "contains": "contains",
    "contain": "contains", "including": "contains", "includes": "contains", "mentioning": "contains",
    "mentions": "contains", "mention": "contains", "with the word": "contains",
}  # fmt: skip
GROUPINGS = (
    "for each", "for every", "in each", "in every", "within each", "of each", "at each", "from each",
    "grouped by", "group by", "group them by", "broken down by", "break down by", "breakdown by",
    "split by", "per", "by", "each", "every", "across", "depending on", "according to", "across all",
    "between different", "across different", "for the different", "for different", "for all the",
)  # fmt: skip
SORTINGS = {
    "sorted by": None, "sort by": None, "sort them by": None, "sort it by": None, "ordered by": None,
    "order by": None, "order them by": None, "ranked by": None, "rank by": None, "rank them by": None,
    "sort": None, "rank": None, "arranged by": None, "arrange by": None,
    "descending": True, "desc": True, "high to low": True, "highest first": True, "largest first": True,
    "biggest first": True, "newest first": True, "latest first": True, "most recent first": True,
    "from high to low": True, "decreasing": True, "ascending": False, "asc": False, "low to high": False,
    "lowest first": False, "smallest first": False, "oldest first": False, "cheapest first": False,
    "earliest first": False, "from low to high": False, "increasing": False, "alphabetically": False,
    "in alphabetical order": False, "in descending order": True, "in ascending order": False,
    "youngest first": False, "in reverse order": True, "chronologically": False,
    "in chronological order": False, "a to z": False, "z to a": True, "from a to z": False,
}  # fmt: skip
GRAINS = {
    "yearly": "year", "annual": "year", "annually": "year", "year over year": "year",
    "year on year": "year", "yoy": "year", "quarterly": "quarter", "monthly": "month",
    "month over month": "month", "month on month": "month", "weekly": "week", "daily": "day",
    "hourly": "hour", "year": "year", "years": "year", "quarter": "quarter", "quarters": "quarter",
    "month": "month", "months": "month", "week": "week", "weeks": "week", "day": "day", "days": "day", "ids": "id",
    "weekday": "weekday", "weekdays": "weekday", "day of the week": "weekday", "day of week": "weekday",
    "hour": "hour", "hours": "hour", "hour of the day": "hour", "over time": "auto", "over the years": "year",
    "trend": "auto", "trends": "auto", "develop": "auto", "developed": "auto", "development of": "auto",
}  # fmt: skip
ADVERB_GRAINS = frozenset(
    "yearly,annual,annually,yoy,quarterly,monthly,weekly,daily,hourly,year over year,year on year,month over month,"
    "month on month,over time,trend,trends,over the years,develop,developed,development of".split(
        ","
    )
)
CHARTS = {
    "bar chart": "bar", "bar graph": "bar", "bar plot": "bar", "bars": "bar", "column chart": "bar",
    "bar": "bar", "barchart": "bar", "line chart": "line", "line graph": "line", "line plot": "line",
    "line": "line", "pie chart": "pie", "pie": "pie", "pie graph": "pie", "donut chart": "pie",
    "scatter plot": "scatter", "scatterplot": "scatter", "scatter": "scatter",
    "scatter chart": "scatter", "scatter graph": "scatter", "histogram": "histogram",
    "distribution": "histogram", "chart": "auto", "graph": "auto", "plot": "auto", "plots": "auto",
    "draw": "auto", "visualise": "auto", "visualize": "auto", "visualisation": "auto", "diagram": "auto",
    "visualization": "auto", "charts": "auto", "plotted": "auto", "graphs": "auto", "histograms": "histogram",
}  # fmt: skip
NEGATIONS = (
    "not", "except for", "except", "excluding", "other than", "apart from", "aside from", "besides", "but not",
    "failed to", "fail to", "isn't", "aren't", "wasn't", "weren't", "didn't", "doesn't", "don't", "haven't", "hasn't", "never",
    "isnt", "arent", "without", "no", "non", "outside", "outside of", "did not", "do not", "does not", "neither",
)  # fmt: skip
MISSING = {
    "missing", "empty", "blank", "null", "absent", "lacking", "lack", "lacks", "without", "unknown", "unfilled",
    "nan", "undefined",
}  # fmt: skip
PRESENT = ("not missing", "not empty", "not null", "is given", "filled in", "is known", "not blank")
ROW_NOUNS = frozenset(
    "row rows record records entry entries line lines item items data table dataset file list "
    "result results observation observations case cases instance instances sheet spreadsheet csv".split()
)
# Nouns that stand for one another as a name of rows.
ROW_CONCEPTS: tuple[frozenset[str], ...] = tuple(
    frozenset(line.split())
    for line in """
    order purchase sale transaction deal invoice
    employee worker staff colleague person people member hr personnel workforce headcount
    flight trip journey connection
    student pupil learner class enrolment
    sensor reading measurement measure observation sample log
    ticket issue case request complaint support
    house home property listing apartment flat estate
    customer client buyer user account subscriber person people member crm churn
    product item article good inventory stock catalog
    review comment feedback rating response
    payment transaction expense charge
    movie film show title
    patient person people visit
    car vehicle
    book title
    country nation
    city town
    """.strip().splitlines()
)
STOP = frozenset(
    """a an the of in on at to for from with and or is are was were be been being do does did has have had
    i me my we us our you your it its they them their he she his her this that these those there here what which who whom whose when where
    how why can could would should will shall may might must please show give tell list find get see let want need like look know display
    return fetch print provide only just also then now as than so if any some all every entire whole following
    about into out up down off through during within via s 're 'm 've 'd ll am not but value values column columns
    fell fall falls fallen rose rise rises risen drop drops dropped grew grow grows went run runs ran occur occurs occurred
    came come comes coming came bring brings brought generate generates generated get gets getting made make makes got go goes going belong belonging take took taken used use using
    exist exists happened happen happens took place compare comparison versus vs against between each per by
    having named called respectively overall me us one ones thing things kind question answer calculate compute work
    say says called ok hi hello thanks thank much many lot great us during ever still currently current back since
    based well were'nt where's what's who's how's let's i'd i'm filter keep pick select sort order ordered include compared
    together view check against first more less data table dataset file csv sheet rows row records record entries entry really
    performing performance way ways option options deal everyone everybody anyone anybody someone breakdown split
    both either different give given among in-between part present live lives living located""".split()
)  # fmt: skip


def split_name(name: str) -> tuple[str, ...]:
    """The lower-case words of a column's name: snake_case, camelCase and abbreviations resolved."""
    spaced = re.sub(r"([a-z\d])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3 \2\4", name)
    words: list[str] = []
    for word in re.findall(r"[^\W_]+", spaced.lower()):
        words.extend((ABBREVIATIONS.get(word) or word).split())
    return tuple(words)


_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "countries": "country",
    "spent": "spend", "sold": "sell", "bought": "buy", "paid": "pay", "taken": "take", "data": "data",
    "status": "status", "statuses": "status", "sales": "sale", "gender": "gender", "address": "address",
    "addresses": "address", "metres": "metre", "meters": "metre", "meter": "metre", "e-mails": "email",
    "e-mail": "email", "emails": "email", "courses": "course", "houses": "house", "purchases": "purchase",
    "prices": "price", "series": "series", "class": "class", "classes": "class", "expenses": "expense",
    "centre": "center", "colour": "color", "colours": "color", "species": "species", "boss": "boss",
    "does": "do", "was": "be", "news": "news", "premises": "premises", "bus": "bus", "gas": "gas",
    "mass": "mass", "movies": "movie", "cookies": "cookie", "calories": "calorie", "ties": "tie",
    "pies": "pie", "selfies": "selfie", "hoodies": "hoodie", "smoothies": "smoothie", "brownies": "brownie", "days": "day", "left": "left", "earnings": "earning", "hired": "hire",
}  # fmt: skip


@lru_cache(maxsize=8_192)
def stem(word: str) -> str:
    """A light stem: plural and participle endings off, irregular forms looked up."""
    word = word.lower().replace("’", "'").removesuffix("'s")
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@lru_cache(maxsize=8_192)
def root(word: str) -> str:
    """A deeper stem, for words that must only be alike: "shipped", "shipping" and "ship" are one."""
    base = stem(word)
    for ending in ("ing", "ed", "ment", "er", "ly", "al"):
        if base.endswith(ending) and len(base) - len(ending) >= 3:
            base = base[: -len(ending)]
            break
    if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "aeiousl":
        base = base[:-1]
    return base.removesuffix("e") if len(base) > 3 else base


@lru_cache(maxsize=4_096)
def concepts_of(word: str) -> frozenset[int]:
    """Indexes into CONCEPTS of the lines that hold a word, in any of its forms."""
    return _by_stem().get(stem(word), frozenset())


@lru_cache(maxsize=1)
def _by_stem() -> dict[str, frozenset[int]]:
    index: dict[str, set[int]] = {}
    for number, words in enumerate(CONCEPTS):
        for word in words:
            index.setdefault(stem(word), set()).add(number)
    return {word: frozenset(lines) for word, lines in index.items()}


def alike(one: str, two: str) -> bool:
    """Whether two words belong to one concept."""
    return bool(concepts_of(one) & concepts_of(two))


def same_rows(noun: str, name: str) -> bool:
    """Whether two nouns may name the same kind of row."""
    one, two = stem(noun), stem(name)
    return one == two or any(_stems(group) >= {one, two} for group in ROW_CONCEPTS)


@lru_cache(maxsize=64)
def _stems(group: frozenset[str]) -> frozenset[str]:
    return frozenset(stem(w) for w in group)
