"""Capabilities and experts from outside, without touching our code.

A Python file (or a module named by an entry point of the group `pointsman.experts`) gives its module-level
Tools; an entry point may also be an Expert, a list of either, or a function that returns them. A YAML file
describes capabilities that call a Python function or a JSON API:

    capabilities:
      - name: shop.stock
        title: look up stock
        description: Tells how many pieces of a product are in stock.
        parameters:
          type: object
          properties: {product: {type: string, description: the product's number}}
          required: [product]
        output: {type: object}
        examples: ["how many pieces of A-113 are in stock"]
        effect: pure
        call:
          http:
            method: GET
            url: https://shop.example.com/stock/{product}
            headers: {Authorization: "Bearer ${SHOP_TOKEN}"}
      - name: text.shout
        description: Writes a text in capital letters, with an exclamation mark.
        parameters: {type: object, properties: {text: {type: string}}, required: [text]}
        output: {type: string}
        effect: pure
        call: {python: "builtins:str"}

`${NAME}` in a header is taken from the environment when the call is made, and is never shown.
"""

import asyncio
import importlib
import importlib.util
import inspect
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import entry_points as installed
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pointsman.experts.base import Call, Done, Expert
from pointsman.experts.tools import http
from pointsman.experts.tools.functions import Tool, ToolExpert, as_done
from pointsman.router.cards import ExpertCard
from pointsman.router.catalog import Capability, CapabilityIn
from pointsman.router.errors import BadArguments, BadCapability, BadFile, CatalogError, ExpertFailed
from pointsman.router.plan import first_fault

GROUP = "pointsman.experts"
PLACEHOLDER = re.compile(r"\{(\w+)\}")
SECRET = re.compile(r"\$\{(\w+)\}")


class HttpCallIn(BaseModel):
    """A call of a JSON API. Placeholders in url, query and body are parameters of the capability."""

    model_config = ConfigDict(extra="forbid")

    method: Literal["GET", "POST"] = "GET"
    url: str
    query: dict[str, str] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] | None = None


class CallIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    python: str | None = None
    http: HttpCallIn | None = None

    @model_validator(mode="after")
    def _one(self) -> "CallIn":
        if (self.python is None) == (self.http is None):
            raise ValueError("give either 'python' or 'http'")
        return self


class EntryIn(CapabilityIn):
    call: CallIn


class FileIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    capabilities: list[EntryIn]


class CalledExpert:
    """One capability that somebody described, and what is called for it."""

    def __init__(self, capability: Capability, work: Callable[[Call], Any]) -> None:
        self.capabilities: Sequence[Capability] = (capability,)
        self._work = work
        self.card = ExpertCard(
            name=capability.name.replace(".", "-"),
            kind="tool",
            description=capability.title or capability.description,
            serves={capability.name: capability.prior},
        )

    async def run(self, call: Call) -> Done:
        why = first_fault(dict(call.arguments), self.capabilities[0].parameters)
        if why is not None:
            raise BadArguments(f"{call.capability}: {why}")
        return as_done(await self._work(call))

    async def close(self) -> None:
        return None


def load_experts(
    paths: Sequence[Path], *, entry_points: bool = True, allow: Sequence[str] = ()
) -> list[Expert]:
    """Experts from YAML files, Python files and installed packages. Raises BadFile, BadCapability."""
    found: list[Expert] = []
    for path in paths:
        found += _from_path(path, allow)
    if entry_points:
        for point in installed(group=GROUP):
            try:
                loaded = point.load()
            except (ImportError, AttributeError) as error:
                raise BadCapability(point.name, f"entry point {point.value!r}: {error}") from error
            found += _experts_of(loaded, point.name)
    return found


def _from_path(path: Path, allow: Sequence[str]) -> list[Expert]:
    if not path.is_file():
        raise BadFile(str(path), "there is no such file; check POINTSMAN_CAPABILITIES")
    if path.suffix == ".py":
        return _experts_of(_module_tools(path), path.stem)
    if path.suffix in (".yaml", ".yml"):
        return _from_yaml(path, allow)
    raise BadFile(str(path), "capabilities are read from .yaml, .yml and .py files")


def _module_tools(path: Path) -> list[Tool | Expert]:
    spec = importlib.util.spec_from_file_location(f"pointsman_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (
        SyntaxError,
        ImportError,
        NameError,
        LookupError,
        AttributeError,
        TypeError,
        ValueError,
        OSError,
        CatalogError,
    ) as error:
        raise BadFile(str(path), f"it cannot be imported: {error}") from error
    return [v for v in vars(module).values() if isinstance(v, Tool) or _is_expert(v)]


def _experts_of(loaded: Any, name: str) -> list[Expert]:
    if callable(loaded) and not isinstance(loaded, Tool) and not _is_expert(loaded):
        loaded = loaded()
    items: list[Any] = list(loaded) if isinstance(loaded, Iterable) else [loaded]
    tools = [i for i in items if isinstance(i, Tool)]
    experts: list[Expert] = [i for i in items if _is_expert(i)]
    if len(tools) + len(experts) != len(items) or not items:
        raise BadCapability(name, "it gives no Tool and no Expert; see the docs on capabilities")
    return [*experts, *([ToolExpert(name, f"tools of {name}", tools)] if tools else [])]


def _is_expert(value: Any) -> bool:
    return not inspect.isclass(value) and all(
        hasattr(value, a) for a in ("card", "capabilities", "run", "close")
    )


def _from_yaml(path: Path, allow: Sequence[str]) -> list[Expert]:
    try:
        form = FileIn.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadFile(str(path), f"it is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(str(p) for p in first["loc"])
        raise BadFile(str(path), f"at {where}: {first['msg']}") from error
    return [_described(entry, path, allow) for entry in form.capabilities]


def _described(entry: EntryIn, path: Path, allow: Sequence[str]) -> Expert:
    try:
        capability = entry.capability()
    except BadCapability as error:
        raise BadFile(str(path), error.message) from error
    if entry.call.http is not None:
        return CalledExpert(
            capability, _http_work(capability, _fit(entry.call.http, entry, path), allow)
        )
    assert entry.call.python is not None
    return CalledExpert(
        capability, _python_work(_function(entry.call.python, entry.name, path), capability)
    )


def _function(where: str, name: str, path: Path) -> Callable[..., Any]:
    module, _, attribute = where.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadCapability(name, f"in {path}: {where!r} cannot be loaded: {error}") from error
    if not callable(function):
        raise BadCapability(name, f"in {path}: {where!r} is not a function")
    return function  # type: ignore[no-any-return]


def _python_work(function: Callable[..., Any], capability: Capability) -> Callable[[Call], Any]:
    by_place = _takes_no_names(function)

    async def work(call: Call) -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(**call.arguments)
        if by_place:
            return await asyncio.to_thread(
                function, *(call.arguments[n] for n in capability.properties if n in call.arguments)
            )
        return await asyncio.to_thread(function, **call.arguments)

    return work


def _takes_no_names(function: Callable[..., Any]) -> bool:
    """Whether a function, as many built-in ones, takes its arguments by place only."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return True
    return all(p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL) for p in parameters)


def _fit(form: HttpCallIn, entry: EntryIn, path: Path) -> HttpCallIn:
    """Raises BadFile when the address is none, or a placeholder is no parameter or names the host."""

    def refuse(why: str) -> BadFile:
        return BadFile(str(path), f"capability {entry.name!r}: {why}")

    origin = re.match(r"https?://([^/?#]+)", form.url)
    if origin is None or "{" in origin[1] or "@" in origin[1]:
        raise refuse("its url must begin with http:// or https:// and a fixed host, without a user")
    used = [form.url, *form.query.values(), *(form.body or {}).values()]
    known = entry.parameters.get("properties", {})
    for name in PLACEHOLDER.findall(" ".join(u for u in used if isinstance(u, str))):
        if name not in known:
            raise refuse(f"the call names {name!r}, which is no parameter; add it or correct it")
    return form


def _in_url(value: Any) -> str:
    """One part of an address: it cannot end the part or step out of it."""
    text = str(value)
    if text in (".", ".."):
        raise BadArguments(f"{text!r} cannot stand in an address; give another value")
    return quote(text, safe="")


def _http_work(
    capability: Capability, form: HttpCallIn, allow: Sequence[str]
) -> Callable[[Call], Any]:
    async def work(call: Call) -> Any:
        given = call.arguments
        url = PLACEHOLDER.sub(lambda m: _in_url(given.get(m.group(1), "")), form.url)
        given_query = {k: _filled(v, given) for k, v in form.query.items()}
        address = httpx.URL(url).copy_merge_params(given_query)
        headers = {k: _secret(v, capability.name) for k, v in form.headers.items()}
        body = None if form.body is None else {k: _filled(v, given) for k, v in form.body.items()}
        seconds = max(0.1, min(http.SECONDS, call.deadline - time.time()))
        try:
            async with (
                asyncio.timeout(seconds),
                http.client(allow, redirects=False) as web,
                web.stream(form.method, address, headers=headers, json=body) as answer,
            ):
                if answer.is_redirect:
                    raise ExpertFailed(f"{capability.name} was sent elsewhere; correct its url")
                http.check_status(answer)
                content = await http.read(answer)
        except TimeoutError:
            raise ExpertFailed(f"{capability.name} did not answer within {seconds:.0f} s") from None
        except httpx.HTTPError as error:
            raise ExpertFailed(f"{capability.name}: {type(error).__name__}") from None
        return _value(content, answer)

    return work


def _filled(template: Any, given: Mapping[str, Any]) -> Any:
    """A placeholder that stands alone keeps the type of its argument."""
    if not isinstance(template, str):
        return template
    alone = PLACEHOLDER.fullmatch(template)
    if alone:
        return given.get(alone.group(1))
    return PLACEHOLDER.sub(lambda m: str(given.get(m.group(1), "")), template)


def _secret(template: str, name: str) -> str:
    def taken(match: re.Match[str]) -> str:
        value = os.environ.get(match.group(1))
        if value is None:
            raise BadArguments(f"{name} needs {match.group(1)} in the environment of the worker")
        return value

    return SECRET.sub(taken, template)


def _value(content: bytes, answer: httpx.Response) -> Any:
    if "json" in answer.headers.get("content-type", ""):
        try:
            return httpx.Response(200, content=content).json()
        except ValueError as error:
            raise ExpertFailed(f"the answer is not JSON: {error}") from error
    return http.decoded(content, answer)


__all__ = ["GROUP", "CalledExpert", "load_experts"]
