"""Plain operations on text."""

import pytest
from expert_calls import column, run

from pointsman.experts.tools.texts import (
    change_case,
    count,
    find,
    replace,
    sort_lines,
    word_frequency,
)
from pointsman.router.errors import BadArguments

TEXT = "The cat sat. The dog didn't sit!\n\nWhy? The cat left."


@pytest.mark.parametrize(
    ("what", "number"),
    [
        ("words", "11"),
        ("sentences", "4"),
        ("paragraphs", "2"),
        ("lines", "3"),
        ("characters", str(len(TEXT))),
    ],
)
def test_counts(what: str, number: str) -> None:
    assert run(count, text=TEXT, what=what)["value"] == number


def test_a_phrase_is_counted_as_a_word() -> None:
    assert run(count, text="cat, Cat and category", phrase="cat")["value"] == "2"


def test_frequent_words_leave_function_words_out() -> None:
    found = run(word_frequency, text=TEXT, limit=1)
    assert found["rows"] == [["cat", 2]]


def test_replacing_plainly_and_by_pattern() -> None:
    assert run(replace, text="a.b.c", find=".", replacement="-") == "a-b-c"
    assert run(replace, text="in 1999 and 2005", find=r"\d{4}", replacement="YEAR", regex=True) == (
        "in YEAR and YEAR"
    )


def test_a_pattern_that_would_run_for_ever_elsewhere_ends() -> None:
    text = "ab " * 60 + "!"
    assert run(replace, text=text, find=r"^(\w+\s?)*$", replacement="", regex=True) == text


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "*"])
def test_a_faulty_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(BadArguments, match="regular expression"):
        run(find, text="x", pattern=pattern, regex=True)


def test_lines_are_found_with_their_numbers() -> None:
    found = run(find, text="ok\nERROR one\nfine\nerror two", pattern="error")
    assert column(found, "line") == [2, 4]


@pytest.mark.parametrize(
    ("case", "result"),
    [
        ("upper", "IT'S ON. YES"),
        ("lower", "it's on. yes"),
        ("title", "It's On. Yes"),
        ("sentence", "It's on. Yes"),
    ],
)
def test_cases(case: str, result: str) -> None:
    assert run(change_case, text="it's ON. yes", case=case) == result


def test_lines_are_sorted_without_regard_to_case() -> None:
    assert run(sort_lines, text="b\nA\na\nb", unique=True) == "A\na\nb"
