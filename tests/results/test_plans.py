"""Tests for `results.plans`: the JSON object of a plan."""

from __future__ import annotations

from clipsim.errors import Failure
from clipsim.results.plans import FileStep, PlanResult


def test_a_plan_as_json() -> None:
    """What was done stands first; numbers have seven significant digits."""
    step = FileStep("move", "a.jpg", "to/cat/a.jpg", ("cat",), 1 / 3, 2 / 3, done=True)
    result = PlanResult(
        command="sort", model=None, steps=(step,), left=("b.jpg",), applied=True, journal="/j",
        errors=(Failure("c.jpg", "no such file", 2),), warnings=("a notice",),
    )  # fmt: skip

    assert result.to_dict() == {
        "schema": "clipsim.plan/1",
        "command": "sort",
        "applied": True,
        "journal": "/j",
        "model": None,
        "steps": [
            {
                "action": "move", "source": "a.jpg", "target": "to/cat/a.jpg", "labels": ["cat"],
                "similarity": 0.3333333, "probability": 0.6666667, "keeper": None, "done": True,
            }
        ],
        "left": ["b.jpg"],
        "errors": [{"path": "c.jpg", "error": "no such file", "index": 2}],
        "warnings": ["a notice"],
    }  # fmt: skip
    assert list(result.to_dict())[:4] == ["schema", "command", "applied", "journal"]
    assert result.done == 1
    assert repr(result) == "PlanResult('sort', steps=1, applied=True)"
