"""The API's documentation as one HTML page without scripts, made from the OpenAPI document."""

from collections.abc import Sequence
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: light-dark(#0a58ca, #7ab7ff); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
code, .path { font-family: ui-monospace, monospace; font-size: 0.95em; }
details { border: 1px solid var(--line); border-radius: 6px; margin: 0.5rem 0; padding: 0.4rem 0.8rem; }
summary { cursor: pointer; } summary .note { opacity: 0.75; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 600; color: var(--accent); }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.6rem; border-top: 1px solid var(--line); }
th { background: var(--soft); } a { color: var(--accent); }
"""


def render(document: dict[str, Any]) -> str:
    """A page that lists every call, its parameters and answers, and every schema."""
    info = document["info"]
    calls = [
        _call(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    schemas = [_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])} API</h1><p>Version {escape(info['version'])}. {escape(info['description'])} "
        "The same for programs: <a href='/openapi.json'>openapi.json</a>.</p>"
        f"<h2>Calls</h2>{''.join(calls)}<h2>Schemas</h2>{''.join(schemas)}</body></html>"
    )


def _call(method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = [
        (f"<code>{escape(item['name'])}</code>", escape(item["in"]), _type(item["schema"]), _note(item, item["schema"]))
        for item in operation["parameters"]
    ]
    bodies = [
        (escape(kind), _type(content["schema"]))
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
    ]
    answers = [
        (escape(status), escape(answer["description"]), _contents(answer))
        for status, answer in operation["responses"].items()
    ]
    return (
        f"<details><summary><span class=method>{method.upper()}</span> <span class=path>{escape(path)}</span> "
        f"<span class=note>{escape(operation['summary'])}</span></summary>"
        f"<p>{escape(operation['description'])}</p>"
        + _table(("Parameter", "in", "type", ""), parameters)
        + _table(("Body", "schema"), bodies)
        + _table(("Status", "meaning", "content"), answers)
        + "</details>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (
            f"<code>{escape(field)}</code>{'' if field not in required else ' *'}",
            _type(content),
            _note(content, content),
        )
        for field, content in schema.get("properties", {}).items()
    ]
    body = _table(("Field (* always there)", "type", ""), rows) if rows else f"<p>{_type(schema)}</p>"
    about = f"<p>{escape(schema.get('description', ''))}</p>"
    return f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>{about}{body}</details>"


def _contents(answer: dict[str, Any]) -> str:
    return ", ".join(f"{escape(kind)}: {_type(item['schema'])}" for kind, item in answer.get("content", {}).items())


def _type(schema: dict[str, Any]) -> str:  # noqa: PLR0911 - one return for each kind of schema
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(_type(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(value)) or '&quot;&quot;'}</code>" for value in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    return escape(str(schema.get("type", "anything")))


def _note(item: dict[str, Any], schema: dict[str, Any]) -> str:
    words = [escape(str(item["description"]))] if "description" in item else []
    limits = (
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("maxLength", "length at most"),
        ("maxItems", "items at most"),
    )
    words += [f"{word} {schema[key]}" for key, word in limits if key in schema]
    if schema.get("default") not in (None, "", [], {}):
        words.append(f"default <code>{escape(str(schema['default']))}</code>")
    return "; ".join(words)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    header = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{header}</tr>{lines}</table>"
