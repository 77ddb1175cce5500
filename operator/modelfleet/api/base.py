"""The base classes of the API's models, and the CEL rules that travel with them into the CRDs."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

_CONFIG = ConfigDict(
    frozen=True,
    alias_generator=to_camel,
    validate_by_name=True,
    validate_by_alias=True,
    use_attribute_docstrings=True,
)


@dataclass(frozen=True)
class Rule:
    """One CEL validation of the API server; `message` (or the CEL `message_expression`) is what the user reads."""

    rule: str
    message: str
    message_expression: str | None = None
    field_path: str | None = None

    def to_dict(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        entry = {"rule": self.rule, "message": self.message}
        if self.message_expression is not None:
            entry["messageExpression"] = self.message_expression
        if self.field_path is not None:
            entry["fieldPath"] = self.field_path
        return entry


def add_rules(schema: dict[str, Any], rules: tuple[Rule, ...]) -> dict[str, Any]:
    """Append `rules` to the CEL validations of a JSON schema."""
    if rules:
        schema["x-kubernetes-validations"] = [
            *schema.get("x-kubernetes-validations", []),
            *(rule.to_dict() for rule in rules),
        ]
    return schema


@dataclass(frozen=True)
class Constraint:
    """Adds one CEL validation to a type, as in `Annotated[str, Constraint(rule, message)]`; Python ignores it."""

    rule: str
    message: str

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The type's JSON schema with the rule."""
        return add_rules(dict(handler(core_schema)), (Rule(self.rule, self.message),))


class Model(BaseModel):
    """A frozen API object: snake_case in Python, camelCase on the wire."""

    model_config = _CONFIG

    rules: ClassVar[tuple[Rule, ...]] = ()
    """CEL validations of the object as a whole."""
    immutable_except: ClassVar[frozenset[str] | None] = None
    """Where not None: every field but these (Python names) can't change once the object exists."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The JSON schema of the fields plus the class's CEL rules."""
        schema = handler(core_schema)
        add_rules(handler.resolve_ref_schema(schema), cls.rules + cls._immutability())
        return schema

    @classmethod
    def _immutability(cls) -> tuple[Rule, ...]:
        """CEL transition rules, one for each immutable field, which also refuse to add or remove an optional one."""
        if cls.immutable_except is None:
            return ()
        rules = []
        for python_name, field in cls.model_fields.items():
            if python_name in cls.immutable_except:
                continue
            name = field.alias or python_name
            same = f"self.{name} == oldSelf.{name}"
            if not field.is_required():
                same = f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || {same})"
            rules.append(Rule(same, f"{name} can't be changed: make a new object instead", field_path=f".{name}"))
        return tuple(rules)

    def to_dict(self) -> dict[str, Any]:
        """The object as the API server takes it: plain JSON types, camelCase, absent where None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def replace(self, **changes: Any) -> Self:
        """A copy with `changes` (Python names), validated and clipped, unlike pydantic's `model_copy`."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        unknown = changes.keys() - values.keys()
        if unknown:
            raise TypeError(f"{type(self).__name__} has no field {sorted(unknown)}")
        return type(self).model_validate(values | changes)


class SpecModel(Model):
    """A part of a spec. Unknown fields are errors: a typing mistake never passes in silence."""

    model_config = _CONFIG | ConfigDict(extra="forbid")


class StatusModel(Model):
    """A part of a status or of metadata. Unknown fields are dropped: a newer operator may have written them."""

    model_config = _CONFIG | ConfigDict(extra="ignore")
