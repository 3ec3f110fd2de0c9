"""Who may call what, what needs a person's yes, and within which bounds: a file, enforced where tasks are started.

    default: allow
    rules:
      - tools: ["shop.refund"]
        who: [support]
        arguments: {properties: {amount: {maximum: 50}}}
        then: allow
      - tools: ["shop.refund"]
        then: ask
        why: refunds above 50 are decided by a person
      - effects: [once]
        who: ["guest-*"]
        then: refuse

The first rule that fits a call decides it. A rule fits when the capability's name, whose run it is, the effect class
and the arguments fit; what a rule does not name fits always. `bounds` are a JSON Schema too: a call that the rule
fits and that breaks them is refused. A plan, a prompt or the result of a tool cannot change any of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import jsonschema_rs
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pointsman.router.catalog import Effect
from pointsman.router.errors import BadFile, ExpertError, Fault

Decision = Literal["allow", "ask", "refuse"]
LARGEST = 1 << 20
"""Bytes of a policy file."""


class PolicyRefused(ExpertError):
    """The policy of this place does not allow a call. Nothing was called."""

    code = "expert.policy-refused"
    fault: ClassVar[Fault] = "caller"
    retryable = False
    nothing_done = True

    def __init__(self, capability: str, why: str) -> None:
        super().__init__(f"{capability} is not allowed here: {why}")


class RuleIn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tools: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)
    who: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)
    effects: tuple[Effect, ...] = ()
    arguments: dict[str, Any] | None = None
    bounds: dict[str, Any] | None = None
    then: Decision
    why: Annotated[str, Field(max_length=300)] = ""

    @field_validator("arguments", "bounds")
    @classmethod
    def _schema(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            try:
                jsonschema_rs.Draft202012Validator(value, offline=True)
            except ValueError as error:
                raise ValueError(f"no JSON Schema: {getattr(error, 'message', error)}") from None
        return value


class PolicyIn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    default: Decision = "allow"
    rules: tuple[RuleIn, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    decision: Decision
    why: str = ""


class _Rule:
    """A rule with its schemas compiled."""

    def __init__(self, given: RuleIn, number: int) -> None:
        self._given = given
        self._number = number
        self._arguments = _compiled(given.arguments)
        self._bounds = _compiled(given.bounds)

    def judge(
        self, tenant: str, name: str, effect: Effect | None, arguments: Any
    ) -> Verdict | None:
        """None when it does not fit. An effect that nobody knows fits whatever a rule says of effects."""
        given = self._given
        fits = (
            _any(given.tools, name)
            and _any(given.who, tenant)
            and (not given.effects or effect is None or effect in given.effects)
            and (self._arguments is None or self._arguments.is_valid(arguments))
        )
        if not fits:
            return None
        if self._bounds is not None and not self._bounds.is_valid(arguments):
            error = next(iter(self._bounds.iter_errors(arguments)))
            where = "/".join(map(str, error.instance_path))
            return Verdict("refuse", f"rule {self._number} bounds {where or 'its arguments'}")
        return Verdict(given.then, given.why or f"rule {self._number} of the policy says so")


class Policy:
    """Judges calls. Pure: the same call is always judged the same."""

    def __init__(self, given: PolicyIn | None = None) -> None:
        given = given or PolicyIn()
        self._rules: Sequence[_Rule] = [_Rule(r, i) for i, r in enumerate(given.rules, 1)]
        self._default = Verdict(given.default, "no rule of the policy allows it")

    def judge(
        self, tenant: str, capability: str, effect: Effect | None, arguments: Mapping[str, Any]
    ) -> Verdict:
        """What the first rule that fits says. effect: None when no live expert describes the capability."""
        for rule in self._rules:
            verdict = rule.judge(tenant, capability, effect, dict(arguments))
            if verdict is not None:
                return verdict
        return self._default


OPEN = Policy()
"""Where there is no policy."""


def read_policy(path: Path, *, needed: bool = False) -> Policy:
    """The policy in a file. Raises BadFile: a policy that cannot be read stops the start.

    needed: without the file too; else nothing is forbidden then.
    """
    if not needed and not path.exists():
        return OPEN
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise BadFile(str(path), "it is larger than a policy should be")
        return Policy(PolicyIn.model_validate(yaml.safe_load(content.decode()) or {}))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadFile(str(path), f"it cannot be read: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = "/".join(map(str, first["loc"]))
        raise BadFile(str(path), f"at {where}: {first['msg']}") from None


def _compiled(schema: dict[str, Any] | None) -> jsonschema_rs.Draft202012Validator | None:
    return None if schema is None else jsonschema_rs.Draft202012Validator(schema, offline=True)


def _any(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name, p) for p in patterns)
