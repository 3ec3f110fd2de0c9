"""Which words of a request carry what is asked: content words, and those that must not be confused.

An encoder puts "highest" next to "lowest" and "before" next to "after". What tells such words apart is
listed here: words of one class mean the same, words of two classes never do. A request that has a class
which the remembered one lacks, or the reverse, asks for something else.
"""

from collections.abc import Iterable

from pointsman.router.planning.retrieval import stems

_CLASSES = """
mean: mean average avg averaged averages
median: median
total: sum total totals summed overall altogether
most: max maximum highest largest biggest most top greatest best longest
least: min minimum lowest smallest least bottom fewest worst shortest
oldest: oldest earliest
newest: newest latest recent
first: first
last: last
number: number count counts counted counting many
share: share percentage percent proportion fraction ratio
positive: positive happy satisfied praise praising
negative: negative unhappy complaint complaints complaining complain dissatisfied unsatisfied bad
neutral: neutral
angry: angry furious
urgent: urgent
before: before until till
after: after since
above: above over more greater exceeding exceeds older higher bigger larger
below: below under less fewer smaller younger lower cheaper
not: not no without except excluding never don't doesn't isn't aren't nor neither non
ascending: ascending ascendingly increasing alphabetical alphabetically
descending: descending decreasing reverse reversed
upper: upper uppercase capitals caps capital
lowercase: lowercase
title: title
bar: bar bars column-chart
line: line-chart
pie: pie
scatter: scatter
histogram: histogram histograms
chart: chart charts plot plotted draw graph figure histogram histograms
unique: unique distinct
duplicate: duplicate duplicates duplicated
near: near nearly similar almost
missing: missing empty blank null
year: year years yearly annual annually
quarter: quarter quarters quarterly
month: month months monthly
week: week weeks weekly
day: day days daily
hour: hour hours hourly
workday: workday workdays working business weekday weekdays
excel: excel xlsx spreadsheet
csv: csv
json: json
parquet: parquet
plus: plus add adding added
minus: minus subtract subtracting off discount deduct
times: times multiply multiplied double
divided: divide divided split
square: square squared
root: root
join: join merge combine joined merged combined
delete: delete remove drop
replace: replace substitute swap
sentence: sentence sentences
word: word words
character: character characters letters
paragraph: paragraph paragraphs
translate: translate
correlation: correlation correlate correlated related relationship
outlier: outlier outliers anomalies anomaly weird unusual
standard: deviation variance stddev
enable: enable activate
disable: disable deactivate
buy: buy purchase
sell: sell sold
"""
CLASS_OF: dict[str, frozenset[str]] = {}
"""The classes of each word that is easily confused with one of another class."""
for _line in _CLASSES.strip().splitlines():
    _name, _, _words = _line.partition(":")
    for _word in _words.split():
        CLASS_OF[_word] = CLASS_OF.get(_word, frozenset()) | {_name.strip()}

POLITE = frozenset(
    """hi hello hey please thanks thank kindly could would want wish need like get see let know find show list give
    tell display print return provide present report state say look here attached attach file files using use help
    quickly quick just now all every each any some there both following plz pls ok okay thing things something
    anything everything only alone per between among row rows record records entries column columns value values make makes turn
    change put into do does done from than so such too very really still yet let's it's what's i'm am up""".split()
)
"""Words that may be there or not: they change nothing of what is asked."""


def classes(words: Iterable[str]) -> frozenset[str]:
    """The classes that a text has."""
    return frozenset(c for w in words if w in CLASS_OF for c in CLASS_OF[w])


def content(words: Iterable[str]) -> frozenset[str]:
    """Stems of the words that carry meaning and belong to no class."""
    kept = [w for w in words if w not in CLASS_OF and w not in POLITE and not w.startswith("<")]
    return stems(" ".join(kept))


def spoken(words: Iterable[str]) -> dict[str, str]:
    """A word for each stem of `content`, as it was said first."""
    found: dict[str, str] = {}
    for word in words:
        for stem in content([word]):
            found.setdefault(stem, word)
    return found


def key_of(word: str) -> str:
    """What two words are compared by when requests are laid side by side."""
    if word.startswith("<") or word in CLASS_OF:
        return "+".join(sorted(CLASS_OF.get(word, (word,))))
    return next(iter(stems(word)), word)
