"""Descriptions of APIs for tests: a shop with every kind of parameter and body, and how it is served and called."""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
from expert_calls import FILES

from pointsman.experts.base import Call, Done
from pointsman.experts.tools.openapi.expert import ApiExpert
from pointsman.experts.tools.openapi.operations import Api, read_api
from pointsman.experts.tools.openapi.reading import read_document
from pointsman.experts.tools.openapi.registered import ApiIn
from pointsman.experts.tools.openapi.server import Faults, ToolServer

PRODUCT: dict[str, Any] = {
    "type": "object",
    "required": ["id", "name"],
    "properties": {
        "id": {"type": "integer", "readOnly": True},
        "name": {"type": "string", "minLength": 1},
        "price": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
        "note": {"type": "string", "nullable": True},
        "related": {"type": "array", "items": {"$ref": "#/components/schemas/Product"}},
        "parent": {"$ref": "#/components/schemas/Product"},
    },
}


def _query(name: str, schema: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, **more}


def _answers(schema: Mapping[str, Any] | None = None, status: str = "200") -> dict[str, Any]:
    content = {} if schema is None else {"content": {"application/json": {"schema": schema}}}
    return {status: {"description": "done", **content}}


REF = {"$ref": "#/components/schemas/Product"}
LIST = {"type": "array", "items": {"type": "string"}}
ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
PAGES = {
    "type": "object",
    "properties": {
        "page": {"type": "integer"},
        "total_pages": {"type": "integer"},
        "results": {"type": "array", "items": REF},
    },
}

SHOP: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Shop", "version": "1"},
    "servers": [{"url": "https://{region}.shop.example.com/v1/", "variables": {"region": {"default": "eu"}}}],
    "security": [{"key": []}],
    "paths": {
        "/products": {
            "get": {
                "operationId": "listProducts",
                "summary": "list products",
                "description": "Lists the **products** of the shop, [see](https://example.com).",
                "tags": ["products"],
                "parameters": [
                    _query("page", {"type": "integer", "minimum": 1}),
                    _query("q", {"type": "string"}),
                    _query("tags", LIST, style="pipeDelimited", explode=False),
                    _query("colours", LIST),
                    _query(
                        "filter",
                        {"type": "object", "properties": {"min": {"type": "integer"}, "of": LIST}},
                        style="deepObject",
                    ),
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                    {"name": "session", "in": "cookie", "schema": {"type": "string"}},
                    {"name": "key", "in": "query", "schema": {"type": "string"}},
                ],
                "responses": _answers(PAGES),
            },
            "post": {
                "operationId": "addProduct",
                "summary": "add a product",
                "tags": ["products"],
                "requestBody": {"required": True, "content": {"application/json": {"schema": REF}}},
                "responses": {**_answers(REF, "201"), "422": {"description": "wrong"}},
                "callbacks": {"onSold": {}},
            },
        },
        "/products/{id}": {
            "parameters": [ID],
            "get": {"operationId": "getProduct", "responses": _answers(REF)},
            "put": {
                "operationId": "putProduct",
                "requestBody": {"content": {"application/json": {"schema": REF}}},
                "responses": _answers(REF),
            },
            "delete": {"operationId": "products/remove", "responses": _answers(status="204")},
        },
        "/orders": {
            "post": {
                "operationId": "placeOrder",
                "parameters": [
                    {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {
                                "type": "object",
                                "required": ["product", "count"],
                                "properties": {
                                    "product": {"type": "integer"},
                                    "count": {"type": "integer", "maximum": 10},
                                    "notes": LIST,
                                },
                            }
                        }
                    },
                },
                "responses": _answers({"type": "object", "properties": {"order": {"type": "integer"}}}),
            }
        },
        "/pictures/{path}": {
            "post": {
                "operationId": "sendPicture",
                "parameters": [{"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}],
                "requestBody": {
                    "required": True,
                    "content": {
                        "multipart/form-data": {
                            "schema": {
                                "type": "object",
                                "required": ["picture"],
                                "properties": {
                                    "picture": {"type": "string", "format": "binary"},
                                    "about": {"type": "object", "properties": {"size": {"type": "integer"}}},
                                },
                            }
                        }
                    },
                },
                "responses": _answers({"type": "string"}),
            },
            "get": {
                "operationId": "getPicture",
                "parameters": [{"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}],
                "responses": {"200": {"description": "it", "content": {"image/png": {}}}},
            },
        },
        "/notes": {
            "post": {
                "operationId": "writeNote",
                "requestBody": {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}},
                "responses": _answers({"type": "string"}),
            }
        },
        "/elsewhere": {"get": {"parameters": [{"$ref": "other.json#/p"}], "responses": _answers()}},
        "/old": {"post": {"requestBody": {"content": {"application/xml": {}}}, "responses": _answers()}},
        "/missing/{what}": {"get": {"responses": _answers()}},
        "/traced": {"trace": {"responses": _answers()}},
    },
    "components": {
        "schemas": {"Product": PRODUCT},
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "query", "name": "key"},
            "bearer": {"type": "http", "scheme": "bearer"},
            "basic": {"type": "http", "scheme": "basic"},
            "oauth": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/t", "scopes": {}}}},
        },
    },
}  # fmt: skip


def api_of(tree: Mapping[str, Any]) -> Api:
    return read_api(read_document(json.dumps(tree).encode(), "shop.json"))


@contextlib.asynccontextmanager
async def served(
    tree: Mapping[str, Any] = SHOP,
    *,
    auth: bool = False,
    faults: Faults | None = None,
    auth_of: Mapping[str, Any] | None = None,
    more: str = "",
    **given: Any,
) -> AsyncIterator[tuple[ToolServer, ApiExpert]]:
    """The API on a server of this machine, and the expert that calls it.

    auth_of: its credentials. more: an address beside it that may be called.
    """
    api = api_of(tree)
    async with ToolServer(api, auth=auth, faults=faults) as server:
        place = server.url.removeprefix("http://")
        other = httpx.URL(more).netloc.decode()
        allow = (place, other) if other else (place,)
        values = {"url": server.url, "allow": allow, "auth": auth_of or {}, **given}
        expert = ApiExpert(
            ApiIn.model_validate({"openapi": "shop.json", "name": "shop", **values}), api
        )
        try:
            yield server, expert
        finally:
            await expert.close()


async def asked(
    expert: ApiExpert, capability: str, /, tenant: str = "default", **arguments: Any
) -> Done:
    call = Call(capability, arguments, FILES, time.time() + 10, run="r1", task="t1", tenant=tenant)
    return await expert.run(call)
