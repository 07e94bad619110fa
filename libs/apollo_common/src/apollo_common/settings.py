"""Settings of a service: read once from `APOLLO_*` environment variables, frozen, then passed explicitly.

Built on pydantic alone: pydantic-settings brings sources that no service of Apollo uses and costs every worker a
quarter of a second of its start.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from apollo_common.errors import InvalidSetting

ENVIRONMENT_PREFIX = "APOLLO_"
MAX_SECRET_BYTES: Final = 64 << 10


def _split_commas(value: Any) -> Any:
    return tuple(item.strip() for item in value.split(",") if item.strip()) if isinstance(value, str) else value


CommaSeparated = Annotated[tuple[str, ...], BeforeValidator(_split_commas)]
"""A field that a variable gives as `a,b,c`."""


def _in_capitals(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_in_capitals)]
"""A field that a variable may also give as `debug`."""

SandboxMode = Literal["require", "prefer", "off"]
"""Of programs. `require`: no worker without a sandbox, `prefer`: where the kernel has what it takes."""


class Settings(BaseModel):
    """Base of a service's settings. Field `work_dir` is read from `APOLLO_WORK_DIR`.

    A secret may lie in a file instead: `APOLLO_TOKEN_FILE` names the one that holds `APOLLO_TOKEN`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Settings from the environment; what is `given` wins, an empty variable counts as unset. InvalidSetting."""
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            variable = ENVIRONMENT_PREFIX + name.upper()
            text = environment.get(variable, "")
            if not text and _is_secret(field):
                text = _secret_from_file(f"{variable}_FILE", environment)
            if text:
                values[name] = text
        try:
            return cls(**(values | given))
        except ValidationError as error:
            raise InvalidSetting(_explain(error)) from None


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _secret_from_file(variable: str, environment: Mapping[str, str]) -> str:
    path = environment.get(variable, "")
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        secret = content[:MAX_SECRET_BYTES].decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"{variable}: {path} cannot be read ({type(error).__name__})") from None
    if len(content) > MAX_SECRET_BYTES:
        raise InvalidSetting(f"{variable}: {path} is longer than {MAX_SECRET_BYTES} bytes: name the file of the secret")
    if not secret:
        raise InvalidSetting(f"{variable}: {path} is empty")
    return secret


def _explain(error: ValidationError) -> str:
    """Every wrong setting by the name of its variable, without its value, which may be a secret."""
    problems = [
        f"{ENVIRONMENT_PREFIX}{str(problem['loc'][0]).upper() if problem['loc'] else 'SETTINGS'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False)
    ]
    return "cannot start with these settings: " + "; ".join(problems)
