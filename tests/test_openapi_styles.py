"""Parameters are written by their styles, and a server reads them back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tool_apis import api_of

from pointsman.experts.tools.openapi import serialising as write
from pointsman.experts.tools.openapi.deserialising import ABSENT, Deserialiser, query_pairs
from pointsman.experts.tools.openapi.operations import Parameter, Place
from pointsman.router.errors import BadArguments

COLOURS = ["blue", "black", "brown"]
RGB = {"R": 100, "G": 200, "B": 150}


@pytest.mark.parametrize(
    ("style", "explode", "text", "array", "thing"),
    [
        ("simple", False, "blue", "blue,black,brown", "R,100,G,200,B,150"),
        ("simple", True, "blue", "blue,black,brown", "R=100,G=200,B=150"),
        ("label", False, ".blue", ".blue,black,brown", ".R,100,G,200,B,150"),
        ("label", True, ".blue", ".blue.black.brown", ".R=100.G=200.B=150"),
        ("matrix", False, ";c=blue", ";c=blue,black,brown", ";c=R,100,G,200,B,150"),
        ("matrix", True, ";c=blue", ";c=blue;c=black;c=brown", ";R=100;G=200;B=150"),
    ],
)
def test_paths_are_written_as_the_specification_has_it(
    style: str, explode: bool, text: str, array: str, thing: str
) -> None:
    assert write.in_path("c", "blue", style, explode) == text
    assert write.in_path("c", COLOURS, style, explode) == array
    assert write.in_path("c", RGB, style, explode) == thing


@pytest.mark.parametrize(
    ("style", "explode", "value", "expected"),
    [
        ("form", True, "blue", "c=blue"),
        ("form", True, "", "c="),
        ("form", True, COLOURS, "c=blue&c=black&c=brown"),
        ("form", False, COLOURS, "c=blue,black,brown"),
        ("form", True, RGB, "R=100&G=200&B=150"),
        ("form", False, RGB, "c=R,100,G,200,B,150"),
        ("spaceDelimited", False, COLOURS, "c=blue%20black%20brown"),
        ("pipeDelimited", False, COLOURS, "c=blue%7Cblack%7Cbrown"),
        ("deepObject", True, RGB, "c[R]=100&c[G]=200&c[B]=150"),
        ("deepObject", True, {"a": {"b": [1, 2]}}, "c[a][b]=1&c[a][b]=2"),
        ("form", True, True, "c=true"),
        ("form", True, 3.0, "c=3"),
        ("form", True, "a&b=c d", "c=a%26b%3Dc%20d"),
    ],
)
def test_queries_are_written_as_the_specification_has_it(
    style: str, explode: bool, value: Any, expected: str
) -> None:
    assert "&".join(write.in_query("c", value, style, explode)) == expected


def test_reserved_characters_stay_where_they_are_allowed() -> None:
    assert write.in_query("u", "/a?b&c", "form", True, reserved=True) == ["u=/a?b%26c"]


@pytest.mark.parametrize("value", ["..", ".", "", []])
def test_a_path_is_not_stepped_out_of(value: Any) -> None:
    with pytest.raises(BadArguments):
        write.in_path("c", value, "simple", False)


@pytest.mark.parametrize("value", ["../x", "a/b", "a?b", "a#b", "a\\b", "%2e%2e"])
def test_what_would_change_the_path_is_escaped(value: str) -> None:
    written = write.in_path("c", value, "simple", False)
    assert not set(written) & set("/?#\\")


@pytest.mark.parametrize(
    "value", ["a\r\nX: 1", "a\nb", "a\x00b", ["a", "b\r"], {"k": "a\n"}, "\u2603"]
)
def test_a_header_is_not_broken_out_of(value: Any) -> None:
    with pytest.raises(BadArguments):
        write.in_header("X-A", value, True)


def test_a_cookie_cannot_begin_another() -> None:
    assert write.in_cookie("c", "a; d=e", True) == ["c=a%3B%20d%3De"]


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12
)
SCHEMAS: dict[str, tuple[dict[str, Any], st.SearchStrategy[Any]]] = {
    "string": ({"type": "string"}, TEXTS),
    "integer": ({"type": "integer"}, st.integers(-(10**12), 10**12)),
    "boolean": ({"type": "boolean"}, st.booleans()),
    "strings": (
        {"type": "array", "items": {"type": "string"}},
        st.lists(TEXTS, min_size=1, max_size=4),
    ),
    "numbers": (
        {"type": "array", "items": {"type": "integer"}},
        st.lists(st.integers(0, 99), min_size=1, max_size=4),
    ),
    "object": (
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}},
        st.fixed_dictionaries({"a": st.integers(0, 99), "b": TEXTS}),
    ),
}
PLACES: list[tuple[Place, str, bool]] = [
    ("path", "simple", False),
    ("path", "simple", True),
    ("path", "matrix", False),
    ("query", "form", True),
    ("query", "form", False),
    ("query", "pipeDelimited", False),
    ("query", "deepObject", True),
]
READER = Deserialiser(api_of({"openapi": "3.0.0", "paths": {}}).schemas)


@given(st.sampled_from(PLACES), st.sampled_from(sorted(SCHEMAS)), st.data())
def test_what_is_written_is_read_back(
    how: tuple[Place, str, bool], kind: str, data: st.DataObject
) -> None:
    place, style, explode = how
    schema, values = SCHEMAS[kind]
    value = data.draw(values)
    listed = "s" in kind[-1:] and isinstance(value, list)
    if (style == "deepObject" and kind != "object") or (style == "pipeDelimited" and not listed):
        return
    parameter = Parameter("c", "c", place, True, schema, style=style, explode=explode)
    path, query = dict[str, str](), ""
    try:
        if place == "path":
            path["c"] = write.in_path("c", value, style, explode)
        else:
            query = "&".join(write.in_query("c", value, style, explode))
    except BadArguments:
        return  # dots alone
    found = READER.read(parameter, path=path, query=query_pairs(query), headers={}, cookies={})
    assert found is not ABSENT
    assert found == value
