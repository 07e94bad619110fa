"""The OpenAPI 3.1 document, made from the route table and the models that validate."""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from apollo_coordinator import __version__
from apollo_coordinator.api.problem import PROBLEM_JSON, Problem
from apollo_coordinator.api.routing import Route

_REFERENCE = "#/components/schemas/{model}"
_BEARER = "A token of the operator's file, or one of a Kubernetes service account. Each has a role."
_PARAMETER = re.compile(r"{(\w+)(?::[^{}]*)?}")


def describe(routes: Sequence[Route], *, open_to_all: bool) -> dict[str, Any]:
    """The whole document as JSON-ready data. `open_to_all`: no token is asked for."""
    schemas = _Schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Apollo",
            "version": __version__,
            "description": "MapReduce jobs from two executables. Times are milliseconds since 1970.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": _BEARER}},
        },
        "security": [{}] if open_to_all else [{"token": []}],
    }


class _Schemas:
    """JSON schemas of all models of the routes, under names that do not clash."""

    def __init__(self, routes: Sequence[Route]) -> None:
        inputs: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
            (type_, mode, TypeAdapter(type_)) for type_, mode in _types(routes)
        ]
        found, document = TypeAdapter.json_schemas(inputs, ref_template=_REFERENCE)
        self._by_type = {(repr(type_), mode): schema for (type_, mode), schema in found.items()}
        self.definitions: dict[str, Any] = document.get("$defs", {})

    def of(self, type_: Any, mode: JsonSchemaMode) -> dict[str, Any]:
        return self._by_type[repr(type_), mode]


def _types(routes: Iterable[Route]) -> Iterable[tuple[Any, JsonSchemaMode]]:
    found: dict[tuple[str, JsonSchemaMode], Any] = {("Problem", "serialization"): Problem}
    for route in routes:
        if route.content is not None:
            found[repr(route.content), "serialization"] = route.content
        for model in (route.body, route.query):
            if model is not None:
                found[repr(model), "validation"] = model
    return [(type_, mode) for (_, mode), type_ in found.items()]


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__qualname__.replace("Routes", "").replace(".", "_").lower(),
        "summary": route.summary,
        "description": "Needs no token." if route.public else f"Needs the role {route.role}.",
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": _responses(route, schemas),
    }
    if route.body is not None:
        content = {"application/json": {"schema": schemas.of(route.body, "validation")}}
        operation["requestBody"] = {"required": True, "content": content}
    if route.upload_field:
        operation["requestBody"] = {"required": True, "content": {"multipart/form-data": _form(route.upload_field)}}
    if route.public:
        operation["security"] = []
    return operation


def _form(field: str) -> dict[str, Any]:
    return {
        "schema": {
            "type": "object",
            "required": [field],
            "additionalProperties": False,
            "properties": {field: {"type": "string", "contentMediaType": "application/octet-stream"}},
        }
    }


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    properties = route.query.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()]


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "description": meaning, "schema": {"type": "string"}}
        for name, meaning in route.headers.items()
    ]


def _responses(route: Route, schemas: _Schemas) -> dict[str, Any]:
    good: dict[str, Any] = {}
    if route.content is not None:
        good = {"content": {route.produces: {"schema": schemas.of(route.content, "serialization")}}}
    elif route.status != HTTPStatus.NO_CONTENT:
        good = {"content": {route.produces: {"schema": {"type": "string"}}}}
    problem = {"content": {PROBLEM_JSON: {"schema": schemas.of(Problem, "serialization")}}}
    responses: dict[str, Any] = {str(route.status): {"description": HTTPStatus(route.status).phrase, **good}}
    responses |= {str(status): {"description": meaning, **good} for status, meaning in route.also.items()}
    anywhere = {400} if route.public else {400, 401, 403, 503}  # 400: no valid HTTP; 503: starting
    for status in sorted(anywhere.union(route.problems)):
        responses[str(status)] = {"description": HTTPStatus(status).phrase, **problem}
    return responses
