"""The strict configuration base, the unions discriminated on `kind`, and the project's error classes.

A part that a chain can choose (a reader, a transform, a head, ...) is described by a subclass of
`PartConfig`. A field that accepts several parts is written

    reader: Annotated[ReaderConfig, OneOf(PilarnetConfig, VoxelsConfig)]

and accepts, besides the listed kinds, an out-of-tree part: `kind: "mypackage.module:MyReaderConfig"`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

__all__ = [
    "BadEventError",
    "Config",
    "LartpcSparseWarning",
    "OneOf",
    "PartConfig",
    "UserError",
]


class UserError(Exception):
    """Something that the user can put right; the message says what and how. Printed without a traceback.

    Attributes:
        exit_code: of the command that ends with it.
    """

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        # torch hands an error of a reader process on as one of the same class, with the traceback as its message.
        if message.startswith("Caught ") and "DataLoader worker process" in message:
            message = message.rpartition(f"{type(self).__qualname__}: ")[2].strip()
        super().__init__(message)


class BadEventError(UserError):
    """One event of an input file cannot be used; the message names file, entry and field."""


class LartpcSparseWarning(UserWarning):
    """A warning of this package; the tests turn it into an error."""


class Config(BaseModel):
    """Base of every configuration class: frozen, unknown keys refused, defaults validated."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class PartConfig(Config):
    """Base of the configurations that a chain selects by `kind`."""

    kind: str


def kind_of(config: type[PartConfig]) -> str:
    """The literal value of `kind` of a part's configuration class.

    Raises:
        TypeError: the class does not declare `kind: Literal["..."]`.
    """
    values = get_args(config.model_fields["kind"].annotation)
    if len(values) != 1:
        raise TypeError(f"{config.__name__} must declare kind: Literal['name'] with one value")
    return str(values[0])


def _import_external(name: str, base: type[PartConfig]) -> type[PartConfig]:
    module_name, _, class_name = name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise PydanticCustomError(
            "external_part",
            "cannot import '{name}' ({error}); kind must be 'package.module:ClassConfig' of an installed package",
            {"name": name, "error": str(error)},
        ) from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PydanticCustomError(
            "external_part",
            "'{name}' is not a subclass of {base}",
            {"name": name, "base": f"{base.__module__}.{base.__name__}"},
        )
    return found


@dataclass(frozen=True)
class OneOf:
    """Annotation of a field of type `base`: one of the listed configurations, chosen by `kind`."""

    configs: tuple[type[PartConfig], ...]

    def __init__(self, *configs: type[PartConfig]) -> None:
        object.__setattr__(self, "configs", configs)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names a chain may write."""
        return tuple(kind_of(config) for config in self.configs)

    def __get_pydantic_core_schema__(
        self, source: type[PartConfig], handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        choices: dict[str, core_schema.CoreSchema] = {
            kind_of(config): handler.generate_schema(config) for config in self.configs
        }
        choices["package.module:ClassConfig"] = _external_schema(source)
        return core_schema.tagged_union_schema(
            choices,
            discriminator=_discriminator(self.kinds),
            custom_error_type="unknown_kind",
            custom_error_message="unknown or missing kind; valid: {valid}",
            custom_error_context={
                "valid": ", ".join(self.kinds) + ', or "package.module:ClassConfig" for a part of your own'
            },
        )


def _discriminator(kinds: tuple[str, ...]) -> Callable[[Any], str | None]:
    def kind_in(value: Any) -> str | None:
        kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        if isinstance(kind, str) and kind not in kinds and ":" in kind:
            return "package.module:ClassConfig"
        return kind if isinstance(kind, str) else None

    return kind_in


def _external_schema(base: type[PartConfig]) -> core_schema.CoreSchema:
    def validate(value: Any) -> PartConfig:
        if isinstance(value, base):
            return value
        name = str(value["kind"])
        return _import_external(name, base).model_validate(value)

    def serialize(value: PartConfig) -> dict[str, Any]:
        return value.model_dump(mode="json")

    return core_schema.no_info_plain_validator_function(
        validate,
        serialization=core_schema.plain_serializer_function_ser_schema(serialize),
        json_schema_input_schema=core_schema.typed_dict_schema(
            {"kind": core_schema.typed_dict_field(core_schema.str_schema(pattern=r"^[\w.]+:\w+$"))},
            extra_behavior="allow",
        ),
    )
