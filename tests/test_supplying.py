"""What a capability needs and the words do not say comes from another capability, by schema and name."""

from typing import Any

import pytest

from pointsman.router.catalog import Capability, Catalog
from pointsman.router.planning.composing.supplying import (
    names_in,
    supplies,
    thing_of,
)


def made(
    name: str,
    required: tuple[str, ...] = (),
    output: dict[str, Any] | None = None,
    effect: Any = "pure",
) -> Capability:
    kinds = {p: {"type": "string" if p == "query" else "integer"} for p in required}
    parameters = {"type": "object", "properties": kinds, "required": list(required)}
    return Capability(name, f"{name}.", parameters, output or {}, effect=effect)


def listed(*fields: str) -> dict[str, Any]:
    item = {"type": "object", "properties": {f: {"type": "integer"} for f in fields}}
    return {"type": "object", "properties": {"hits": {"type": "array", "items": item}}}


CATALOG = Catalog(
    [
        made("shop.search_customer", ("query",), listed("id", "name")),
        made("shop.search_product", ("query",), listed("sku", "product_id")),
        made("shop.popular_products", (), listed("product_id")),
        made("shop.delete_customer", ("query",), listed("id"), "once"),
        made("shop.customer_orders", ("customer_id",)),
        made("shop.product_reviews", ("product_id",)),
        made("shop.invoice", ("invoice_id",)),
    ]
)


def found(name: str, text: str) -> tuple[str, dict[str, Any], tuple[str, ...]] | None:
    wanted = CATALOG[name]
    given = supplies(CATALOG, wanted, wanted.required, text, {"shop.popular_products": 0.5})
    if given is None:
        return None
    (one,) = given
    return one.maker.name, dict(one.arguments), one.path


def test_who_is_called_by_name_is_searched_for() -> None:
    assert found("shop.customer_orders", "what did Mona Lisa order") == (
        "shop.search_customer",
        {"query": "Mona Lisa"},
        ("hits", "0", "id"),
    )
    assert found("shop.product_reviews", 'what is said of "red chair"') == (
        "shop.search_product",
        {"query": "red chair"},
        ("hits", "0", "product_id"),
    )


def test_where_nobody_is_named_a_list_gives_the_first() -> None:
    assert found("shop.product_reviews", "reviews of the most popular product") == (
        "shop.popular_products",
        {},
        ("hits", "0", "product_id"),
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("shop.invoice", "the invoice of Mona Lisa"),  # nothing gives invoices
        (
            "shop.customer_orders",
            "what did she order",
        ),  # nobody is named, and nothing lists customers
    ],
)
def test_what_nothing_gives_is_left_missing(name: str, text: str) -> None:
    assert found(name, text) is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Who wrote The Old Man and the Sea?", ["The Old Man and the Sea"]),
        ("show me what Mona Lisa's shop sells", ["Mona Lisa"]),
        ("Show the orders of 'anna k'", ["anna k"]),
        ("Which orders came today?", []),
        ("list the 3 newest orders", []),
    ],
)
def test_names_are_what_is_quoted_or_written_large(text: str, names: list[str]) -> None:
    assert names_in(text) == names


def test_a_parameter_stands_for_a_thing_by_its_name() -> None:
    assert thing_of("id") is None
    assert thing_of("page") is None
    assert "customer" in (thing_of("customer_id") or ())
    assert "customer" in (thing_of("customerId") or ())
