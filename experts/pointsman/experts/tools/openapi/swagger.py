"""Swagger 2.0 in the form of OpenAPI 3.0.

Only what an import reads is converted. Definitions keep their place under their new name, so references are
written anew and nothing is inlined.
"""

from collections.abc import Iterable, Mapping
from typing import Any

METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
MOVED = {
    "#/definitions/": "#/components/schemas/",
    "#/parameters/": "#/components/parameters/",
    "#/responses/": "#/components/responses/",
    "#/securityDefinitions/": "#/components/securitySchemes/",
}
STYLES: Mapping[str, tuple[str, bool]] = {
    "csv": ("form", False),
    "ssv": ("spaceDelimited", False),
    "tsv": ("tabDelimited", False),
    "pipes": ("pipeDelimited", False),
    "multi": ("form", True),
}
FLOWS = {
    "implicit": "implicit",
    "password": "password",
    "application": "clientCredentials",
    "accessCode": "authorizationCode",
}
ABOUT = ("name", "in", "required", "description", "collectionFormat", "allowEmptyValue")
FORM = "application/x-www-form-urlencoded"

Tree = dict[str, Any]


def converted(tree: Mapping[str, Any]) -> Tree:
    """The description in the form of 3.0; what is malformed is left for the import to find."""
    tree = _moved(tree)
    produces, consumes = _texts(tree.get("produces")), _texts(tree.get("consumes"))
    shared = _mapping(tree.get("parameters"))
    paths = {
        path: _path(item, shared, consumes, produces)
        for path, item in _mapping(tree.get("paths")).items()
        if isinstance(item, Mapping)
    }
    return {
        "openapi": "3.0.3",
        "info": tree.get("info", {}),
        "servers": _servers(tree),
        "security": tree.get("security", []),
        "paths": paths,
        "components": {
            "schemas": tree.get("definitions", {}),
            "parameters": {
                n: _parameter(p)
                for n, p in shared.items()
                if isinstance(p, Mapping) and p.get("in") not in ("body", "formData")
            },
            "responses": {
                n: _response(r, produces) for n, r in _mapping(tree.get("responses")).items()
            },
            "securitySchemes": {
                n: _scheme(s) for n, s in _mapping(tree.get("securityDefinitions")).items()
            },
        },
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _moved(node: Any) -> Any:
    """Every reference under its new name."""
    if isinstance(node, Mapping):
        ref = node.get("$ref")
        if isinstance(ref, str):
            for before, after in MOVED.items():
                if ref.startswith(before):
                    return {**node, "$ref": after + ref.removeprefix(before)}
        return {k: _moved(v) for k, v in node.items()}
    return [_moved(v) for v in node] if isinstance(node, list) else node


def _servers(tree: Mapping[str, Any]) -> list[Tree]:
    base = str(tree.get("basePath") or "/").rstrip("/")
    host = tree.get("host")
    if not isinstance(host, str):
        return [{"url": base or "/"}]
    schemes = _texts(tree.get("schemes")) or ["https"]
    best = "https" if "https" in schemes else schemes[0]
    return [{"url": f"{best}://{host}{base}"}]


def _path(
    item: Mapping[str, Any], shared: Mapping[str, Any], consumes: list[str], produces: list[str]
) -> Tree:
    common = _resolved(item.get("parameters"), shared)
    made: Tree = {k: v for k, v in item.items() if k not in METHODS and k != "parameters"}
    for method in METHODS:
        operation = item.get(method)
        if isinstance(operation, Mapping):
            made[method] = _operation(operation, common, shared, consumes, produces)
    return made


def _resolved(given: Any, shared: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Parameters by what they are; body and form parameters may be shared ones too."""
    found = []
    for one in given if isinstance(given, list) else []:
        ref = _mapping(one).get("$ref")
        name = str(ref).rsplit("/", 1)[-1]
        found.append(shared[name] if ref and name in shared else one)
    return [f for f in found if isinstance(f, Mapping)]


def _operation(
    operation: Mapping[str, Any],
    common: list[Mapping[str, Any]],
    shared: Mapping[str, Any],
    consumes: list[str],
    produces: list[str],
) -> Tree:
    own = _resolved(operation.get("parameters"), shared)
    replaced = {(p.get("name"), p.get("in")) for p in own}
    every = [p for p in common if (p.get("name"), p.get("in")) not in replaced] + own
    made = {k: v for k, v in operation.items() if k not in ("parameters", "consumes", "produces")}
    made["parameters"] = [
        _parameter(p) if "$ref" not in p else dict(p)
        for p in every
        if p.get("in") not in ("body", "formData")
    ]
    body = _body(every, _texts(operation.get("consumes")) or consumes)
    if body is not None:
        made["requestBody"] = body
    given = _texts(operation.get("produces")) or produces
    made["responses"] = {
        status: _response(r, given) for status, r in _mapping(operation.get("responses")).items()
    }
    return made


def _body(parameters: Iterable[Mapping[str, Any]], consumes: list[str]) -> Tree | None:
    parameters = list(parameters)
    whole = next((p for p in parameters if p.get("in") == "body"), None)
    if whole is not None:
        content = {m: {"schema": whole.get("schema", {})} for m in consumes or ["application/json"]}
        about = whole.get("description", "")
        return {"required": bool(whole.get("required")), "content": content, "description": about}
    fields = [p for p in parameters if p.get("in") == "formData"]
    if not fields:
        return None
    files = any(p.get("type") == "file" for p in fields)
    media = "multipart/form-data" if files or "multipart/form-data" in consumes else FORM
    schema: Tree = {
        "type": "object",
        "properties": {str(p.get("name")): _field(p) for p in fields},
        "required": [str(p.get("name")) for p in fields if p.get("required")],
    }
    encoding = {
        str(p.get("name")): dict(zip(("style", "explode"), _style(p), strict=True))
        for p in fields
        if p.get("type") == "array"
    }
    content = {media: {"schema": schema, "encoding": encoding}}
    return {"required": bool(schema["required"]), "content": content}


def _style(parameter: Mapping[str, Any]) -> tuple[str, bool]:
    return STYLES.get(str(parameter.get("collectionFormat", "csv")), ("form", False))


def _field(parameter: Mapping[str, Any]) -> Tree:
    schema = {k: v for k, v in parameter.items() if k not in ABOUT or k == "description"}
    return {k: v for k, v in schema.items() if k != "collectionFormat"}


def _parameter(parameter: Mapping[str, Any]) -> Tree:
    about = {k: parameter[k] for k in ("name", "in", "required", "description") if k in parameter}
    made: Tree = {**about, "schema": {k: v for k, v in parameter.items() if k not in ABOUT}}
    if parameter.get("type") == "array":
        style, explode = _style(parameter)
        if parameter.get("in") in ("path", "header"):
            style, explode = "simple", False
        made |= {"style": style, "explode": explode}
    return made


def _response(response: Any, produces: list[str]) -> Tree:
    if not isinstance(response, Mapping) or "$ref" in response:
        return dict(_mapping(response))
    made: Tree = {k: v for k, v in response.items() if k not in ("schema", "examples", "headers")}
    if "schema" in response:
        schema = response["schema"]
        media = produces or ["application/json"]
        examples = _mapping(response.get("examples"))
        made["content"] = {
            m: {"schema": schema, **({"example": examples[m]} if m in examples else {})}
            for m in media
        }
    return made


def _scheme(scheme: Any) -> Tree:
    scheme = _mapping(scheme)
    match scheme.get("type"):
        case "basic":
            return {"type": "http", "scheme": "basic"}
        case "oauth2":
            flow = FLOWS.get(str(scheme.get("flow")), "implicit")
            about = {"tokenUrl": scheme.get("tokenUrl", ""), "scopes": scheme.get("scopes", {})}
            return {"type": "oauth2", "flows": {flow: about}}
        case _:
            return dict(scheme)
