"""The OpenAPI document of the server: every route, and its answers as they are described.

Two tests need packages of `make test-server`, and are skipped without them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pictures import saved
from PIL import Image

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
]
EXAMPLES = 30  # of each route


def read(client: Any) -> Any:
    """The document."""
    return client.get("/openapi.json").json()


def test_the_document_is_valid(client: Any) -> None:
    """As OpenAPI 3.1."""
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(read(client))


def test_generated_requests_are_answered_as_described(client: Any, tmp_path: Path) -> None:
    """Those that fit the document and those that do not: by a status, headers and a body that it names."""
    pytest.importorskip("schemathesis")
    program = Path(sys.executable).parent / "schemathesis"
    address = f"{str(client.base_url).rstrip('/')}/openapi.json"
    options = ["--checks", ",".join(CHECKS), "--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"]
    command = [str(program), "run", address, *options]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)  # it leaves files there

    assert run.returncode == 0, run.stdout[-20_000:]


def test_every_error_is_declared(client: Any) -> None:
    """With its headers, for each route that may answer it."""
    document = read(client)
    components = document["components"]["responses"]
    operations = {path: next(iter(methods.values())) for path, methods in document["paths"].items()}

    assert set(operations["/v1/embeddings"]["responses"]) == {
        *("200", "400", "403", "404", "408", "413", "415", "421", "422", "429", "500", "503", "504")
    }
    assert set(operations["/v1/images/{number}"]["responses"]) >= {"404", "429", "504"}
    for operation in operations.values():
        for status, answer in operation["responses"].items():
            assert "X-Request-Id" in (answer if status == "200" else components[status])["headers"]
    assert "Retry-After" in components["429"]["headers"]


def test_errors_are_those_that_are_declared(client: Any) -> None:
    """Each of these requests is answered with a status that its route names."""
    paths = read(client)["paths"]
    red = saved(Image.new("RGB", (40, 24), "red"), "PNG")
    answers = [
        ("/v1/rank", client.post("/v1/rank", files=[("images", ("a.png", red))], data={"texts": ["red"]}), 200),
        ("/v1/rank", client.post("/v1/rank", content=b"{"), 400),
        ("/v1/rank", client.post("/v1/rank", content=b"x", headers={"Content-Type": "text/plain"}), 415),
        ("/v1/search", client.post("/v1/search", json={"texts": ["red"], "model": "nowhere"}), 404),
        ("/info", client.get("/info", headers={"Host": "example.org"}), 421),
        ("/info", client.get("/info", headers={"Origin": "https://example.org"}), 403),
        ("/v1/models/{name}", client.get("/v1/models/nowhere"), 404),
        ("/v1/images/{number}", client.get("/v1/images/99"), 404),
    ]
    for path, answer, status in answers:
        assert answer.status_code == status
        assert str(status) in next(iter(paths[path].values()))["responses"]


def test_tokens_are_declared_where_there_are_any(serve: Any) -> None:
    """Not for the routes that need none."""
    client = serve(tokens=("secret",))
    document = read(client)

    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert "401" in document["paths"]["/v1/rank"]["post"]["responses"]
    assert "security" not in document["paths"]["/health"]["get"]
    assert client.get("/v1/models").headers["www-authenticate"] == "Bearer"
