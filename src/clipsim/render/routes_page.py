"""The OpenAPI schema of the server → a page that lists its routes, without style or script."""

from __future__ import annotations

from typing import Any

from clipsim.render.page import render_plain


def format_routes_page(schema: dict[str, Any]) -> str:
    """The page; each route with what it answers and the fields of its body."""
    routes = []
    for path, methods in schema["paths"].items():
        for method, facts in methods.items():
            content = facts.get("requestBody", {}).get("content", {})
            fields = content.get("application/json", {}).get("schema", {}).get("properties", {})
            routes.append((method.upper(), path, facts.get("description", ""), list(content), list(fields.items())))
    return render_plain("routes.html", title=schema["info"]["title"], version=schema["info"]["version"], routes=routes)
