"""The probe pictures, and the answers that belong to them."""

from __future__ import annotations

import hashlib
import json

from clipsim.mini.probe import ANSWERS, TEXTS, known_answers, probe_images


def test_the_pictures_are_the_same_on_every_machine() -> None:
    """They are integer arithmetic, so their bytes have one digest; none is square."""
    pictures = probe_images()
    digest = hashlib.sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest()

    assert [picture.size for picture in pictures] == [(120, 80)] * 3
    assert digest == "7f1df1174d8153d2eea2cf513a4409a93fce95d8e1c9b7900b8c8cb7c913f90c"


def test_there_is_an_answer_for_each_text_and_picture() -> None:
    """The answers belong to the texts that are asked, and tell the pictures apart."""
    answers = known_answers()

    assert json.loads(ANSWERS.read_text())["texts"] == list(TEXTS)
    assert [len(row) for row in answers] == [3] * len(TEXTS)
    circle, stripes = answers[TEXTS.index("a red circle")], answers[TEXTS.index("stripes")]
    assert (circle.index(max(circle)), stripes.index(max(stripes))) == (0, 1)
