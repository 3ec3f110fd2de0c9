"""A description becomes capabilities: what is read, what is refused, and what is listed with a reason."""

import json
from copy import deepcopy
from typing import Any

import pytest
import yaml
from tool_apis import SHOP, api_of

from pointsman.experts.tools.openapi.capabilities import capability_of, dotted, names_of
from pointsman.experts.tools.openapi.operations import Api, Operation, text_of
from pointsman.experts.tools.openapi.reading import read_document
from pointsman.experts.tools.openapi.registered import parse_registered
from pointsman.router.errors import BadFile


def operation(api: Api, key: str) -> Operation:
    return next(o for o in api.operations if o.key == key)


def test_every_operation_is_callable_or_listed_with_the_reason() -> None:
    api = api_of(SHOP)
    reasons = {s.key: s.why for s in api.skipped}
    assert len(api.operations) == 9
    assert "another file" in reasons["GET /elsewhere"]
    assert "application/xml" in reasons["POST /old"]
    assert "what" in reasons["GET /missing/{what}"]
    assert "TRACE" in reasons["TRACE /traced"]
    assert "callbacks" in reasons["callback onSold of POST /products"]
    written = {
        f"{m.upper()} {p}"
        for p, item in SHOP["paths"].items()
        for m in item
        if m in ("get", "put", "post", "delete", "trace")
    }
    assert written == {o.key for o in api.operations} | (reasons.keys() & written)


def test_what_an_operation_does_outside_is_told_by_its_method() -> None:
    effects = {o.id: o.effect for o in api_of(SHOP).operations}
    assert effects["listProducts"] == "pure"
    assert effects["putProduct"] == effects["products/remove"] == "idempotent"
    assert effects["addProduct"] == "once"
    assert effects["placeOrder"] == "keyed"


def test_names_are_words_of_the_catalog() -> None:
    names = names_of("shop", api_of(SHOP).operations)
    assert names["GET /products"] == "shop.list_products"
    assert names["DELETE /products/{id}"] == "shop.products.remove"
    assert dotted("GET /pets/{petId}") == "get_pets_pet_id"
    assert dotted("repos/list-for-user") == "repos.list_for_user"
    assert dotted("HTTPServer.getURL") == "http_server.get_url"


def test_a_capability_holds_arguments_and_outcome_in_outline() -> None:
    api = api_of(SHOP)
    made = capability_of("shop.add_product", operation(api, "POST /products"), api.schemas)
    assert list(made.properties) == ["name", "price", "note", "related", "parent"]
    assert made.required == ("name",)
    assert made.properties["price"]["exclusiveMinimum"] == 0
    assert made.properties["note"]["type"] == ["string", "null"]
    assert "$ref" not in json.dumps(made.to_json())
    assert len(json.dumps(made.to_json())) < 20_000
    listed = capability_of("shop.list_products", operation(api, "GET /products"), api.schemas)
    assert listed.description.startswith("Lists the products of the shop, see. Gives name, price")
    assert "key" not in listed.properties
    assert listed.output["properties"]["results"]["items"]["properties"]["id"] == {
        "type": "integer"
    }


def test_a_cycle_stays_a_reference() -> None:
    api = api_of(SHOP)
    body = operation(api, "POST /products").body
    assert body is not None
    whole = api.schemas.contained(body.schema, sent=True)
    assert list(whole["$defs"]) == ["Product"]
    assert whole["$defs"]["Product"]["properties"]["parent"] == {"$ref": "#/$defs/Product"}


def test_the_server_is_read_with_its_variables() -> None:
    assert api_of(SHOP).operations[0].url == "https://eu.shop.example.com/v1"


SWAGGER: dict[str, Any] = {
    "swagger": "2.0",
    "info": {"title": "Old", "version": "1"},
    "host": "old.example.com",
    "basePath": "/api",
    "schemes": ["http", "https"],
    "consumes": ["application/json"],
    "produces": ["application/json"],
    "securityDefinitions": {
        "login": {"type": "basic"},
        "app": {"type": "oauth2", "flow": "application", "tokenUrl": "https://old.example.com/t"},
    },
    "parameters": {"Body": {"in": "body", "name": "b", "required": True, "schema": {"$ref": "#/definitions/Pet"}}},
    "definitions": {
        "Pet": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    },
    "paths": {
        "/pets": {
            "get": {
                "parameters": [
                    {"name": "ids", "in": "query", "type": "array", "items": {"type": "integer"}, "collectionFormat": "pipes"},
                    {"name": "all", "in": "query", "type": "array", "items": {"type": "string"}, "collectionFormat": "multi"},
                ],
                "responses": {"200": {"description": "", "schema": {"type": "array", "items": {"$ref": "#/definitions/Pet"}}}},
            },
            "post": {"parameters": [{"$ref": "#/parameters/Body"}], "responses": {"200": {"description": ""}}},
        },
        "/files": {
            "post": {
                "parameters": [
                    {"name": "file", "in": "formData", "type": "file", "required": True},
                    {"name": "note", "in": "formData", "type": "string"},
                ],
                "responses": {"200": {"description": ""}},
            }
        },
    },
}  # fmt: skip


def test_swagger_2_is_converted() -> None:
    api = api_of(SWAGGER)
    assert not api.skipped
    assert api.operations[0].url == "https://old.example.com/api"
    ids, every = operation(api, "GET /pets").parameters
    assert (ids.style, ids.explode) == ("pipeDelimited", False)
    assert (every.style, every.explode) == ("form", True)
    body = operation(api, "POST /pets").body
    assert body is not None
    assert body.needed == ("name",)
    form = operation(api, "POST /files").body
    assert form is not None
    assert form.form == "multipart"
    assert form.files == {"file"}
    assert api.schemes["login"] == {"type": "http", "scheme": "basic"}
    assert "clientCredentials" in api.schemes["app"]["flows"]


def test_json_and_yaml_give_the_same() -> None:
    written = yaml.safe_dump(SHOP).encode()
    assert read_document(written, "a").tree == read_document(json.dumps(SHOP).encode(), "b").tree


def test_yaml_is_read_by_the_rules_of_json() -> None:
    text = b"openapi: 3.1.0\ninfo: {title: 2026-11-25, version: on}\npaths: {}\nx: {200: yes, n: 1, f: 1.5, t: true, z: ~}"
    tree = read_document(text, "a.yaml").tree
    assert tree["info"] == {"title": "2026-11-25", "version": "on"}
    assert tree["x"] == {"200": "yes", "n": 1, "f": 1.5, "t": True, "z": None}


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("openapi: 3.2.0\npaths: {}", "3.1"),
        ("openapi: 4.0.0\npaths: {}", "4.0.0"),
        ("paths: {}", "no 'openapi'"),
        ("[1, 2]", "object"),
        ("{ nothing", "YAML|JSON"),
        ("openapi: 3.0.0\npaths: 5", "paths"),
        ("a: !!python/object/apply:os.system ['true']", "YAML"),
        (BOMB, "aliases"),
        ("a: &a [*a]", "contains itself"),
        ("{" * 300_000, "JSON|nested|YAML"),
        ("[" * 100_000, "nested|YAML"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(BadFile, match=why):
        read_document(text.encode(), "bad.yaml")


def test_references_that_lead_nowhere_cost_one_operation() -> None:
    tree = deepcopy(SHOP)
    tree["paths"]["/circle"] = {"$ref": "#/paths/~1circle"}
    tree["paths"]["/notes"]["get"] = {
        "parameters": [{"$ref": "#/components/parameters/None"}],
        "responses": {},
    }
    api = api_of(tree)
    reasons = {s.key: s.why for s in api.skipped}
    assert "circle" in reasons["/circle"]
    assert "not there" in reasons["GET /notes"]
    assert len(api.operations) == 9


def test_slips_of_a_description_do_not_cost_an_operation() -> None:
    slips = {
        "type": "object",
        "required": "name",
        "properties": {
            "name": {"type": "strin", "minLength": "3", "pattern": "(", "enum": []},
            "count": {"type": "integer", "minimum": "0", "multipleOf": 0, "required": True},
            "size": {"type": "string", "enum": [1, 2]},
            "none": None,
        },
    }
    tree = {
        "openapi": "3.0.0",
        "paths": {
            "/a": {"post": {"requestBody": {"content": {"application/json": {"schema": slips}}}}}
        },
    }
    api = api_of(tree)
    made = capability_of("a.b", api.operations[0], api.schemas)
    assert list(made.properties) == ["name", "count", "size", "none"]
    assert made.properties["size"]["enum"] == ["1", "2"]


def test_openapi_3_1_keeps_what_stands_beside_a_reference() -> None:
    tree = {
        "openapi": "3.1.0",
        "paths": {
            "/a": {
                "get": {
                    "parameters": [
                        {
                            "name": "x",
                            "in": "query",
                            "schema": {"$ref": "#/components/schemas/X", "maximum": 5},
                        }
                    ],
                    "responses": {},
                }
            }
        },
        "webhooks": {"sold": {"post": {}}},
        "components": {"schemas": {"X": {"type": ["integer", "null"], "exclusiveMinimum": 0}}},
    }
    api = api_of(tree)
    assert api.operations[0].parameters[0].schema == {"maximum": 5, "$ref": "#/$defs/X"}
    assert [s.key for s in api.skipped] == ["webhook sold"]


def test_what_a_description_says_is_one_plain_line() -> None:
    said = "# Title\n\nDo **this** <script>alert(1)</script> [now](javascript:x)\x1b[2J\u202e`code`"
    text = text_of(said)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<" not in text
    assert "javascript" not in text
    assert "Do this" in text


def test_the_yaml_of_an_api_chooses_renames_and_describes() -> None:
    given = parse_registered(
        """
        openapi: shop.json
        name: shop
        include: ["GET *", placeOrder]
        exclude: ["tag:products"]
        rename: {getProduct: products.show}
        describe: {"GET /products/{id}": {title: show a product, approval: true, effect: idempotent}}
        auth: {key: {key: {env: SHOP_KEY}}}
        """,
        "shop.yaml",
    )
    api = api_of(SHOP)
    wanted = [o.key for o in api.operations if given.wants(o)]
    assert wanted == ["GET /products/{id}", "POST /orders", "GET /pictures/{path}"]
    assert given.renamed(operation(api, "GET /products/{id}")) == "products.show"
    assert given.words(operation(api, "GET /products/{id}"))["approval"] is True


@pytest.mark.parametrize(
    "text",
    [
        "openapi: ../../etc/passwd\nname: a",
        "openapi: a.json\nname: A B",
        "openapi: a.json\nname: a\nauth: {key: {key: sk-live-1234}}",
        "openapi: a.json\nname: a\nauth: {key: {key: {env: A, file: /b}}}",
        "openapi: a.json\nname: a\nnonsense: 1",
        "openapi: a.json\nname: a\nrename: {x: 'No Name'}",
    ],
)
def test_a_yaml_that_says_something_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(BadFile) as caught:
        parse_registered(text, "a.yaml")
    assert "sk-live" not in caught.value.message
