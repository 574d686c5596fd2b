"""Tests of `cache.keys`: what changes a vector changes its key, and a file's metadata does not."""

from __future__ import annotations

import hashlib
import inspect
import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from clipsim.cache.keys import image_key, image_namespace_key, text_key, text_namespace_key, tokens_key, variant_key
from clipsim.errors import ImageError
from clipsim.images.decode import decoded_file
from clipsim.images.limits import VERSION
from clipsim.options import PRECISIONS

FORMATS = ["JPEG", "PNG", "WEBP", "lossless", "transparent"]
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:li>maze</rdf:li></x:xmpmeta>'
TURNED_XMP = b'<rdf:Description tiff:Orientation="6"/>'


def namespace_key(decoding: int = VERSION, **changes: Any) -> bytes:
    """The key of a model's image vectors."""
    return image_namespace_key(**{"identity": "digest", "precision": "fp32"} | changes, decoding=decoding)


@pytest.mark.parametrize(("name", "value"), [("identity", "other"), ("precision", "bf16")])
def test_the_model_and_its_precision_are_part_of_both_keys(name: str, value: Any) -> None:
    """Texts and images have keys of their own."""
    facts = {"identity": "digest", "precision": "fp32"}

    assert text_namespace_key(**facts) == text_namespace_key(**facts)
    assert text_namespace_key(**facts) != text_namespace_key(**facts | {name: value})
    assert namespace_key() != namespace_key(**{name: value})
    assert namespace_key() != text_namespace_key(**facts)


def test_every_class_of_precision_has_its_own_vectors() -> None:
    """fp32 is never mixed with TF32, nor with half precision; the device that computes is no part of a key."""
    names = [*PRECISIONS, "int8"]

    assert len({namespace_key(precision=name) for name in names}) == len(names) == 5
    assert len({text_namespace_key(identity="digest", precision=name) for name in names}) == 5
    for key in (image_namespace_key, text_namespace_key):
        assert not {"device", "engine"} & set(inspect.signature(key).parameters)


def test_the_rules_of_decoding_are_part_of_the_key() -> None:
    """Their version, and for large JPEGs whether they are decoded in full."""
    assert namespace_key() != namespace_key(VERSION + 1)
    assert len({b"k", variant_key(b"k", exact=True), variant_key(b"k", exact=False)}) == 3


def test_a_text_that_may_be_cut_has_another_key() -> None:
    """Without `truncate`, a text that is too long must be refused although the vector of its beginning is cached."""
    assert text_key("maze", truncate=False) == text_key("maze", truncate=False)
    assert len({text_key(text, truncate=cut) for text in ("maze", "Maze", "") for cut in (True, False)}) == 6
    assert text_key("\udce9", truncate=False) != text_key("", truncate=False)  # bytes that are not UTF-8


def test_tokens_have_a_key_without_their_padding() -> None:
    """However long the rows are that a tokenizer gives."""
    assert tokens_key(np.array([7, 0, 9, 0, 0])) == tokens_key(np.array([7, 0, 9]))
    assert tokens_key(np.array([7, 9])) != tokens_key(np.array([7, 0, 9]))


def key(data: bytes) -> bytes:
    """The key of a file's vector."""
    return image_key(data, hashlib.sha256(data).digest())


def is_whole(data: bytes) -> bool:
    """Whether the key is that of all of its bytes."""
    return key(data) == hashlib.sha256(data).digest()


@cache
def picture(seed: int = 0, transparent: bool = False) -> Image.Image:
    """A small picture whose corners differ."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 9, 4 if transparent else 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((90, 60), Image.Resampling.NEAREST)


def save(kind: str, seed: int = 0, **options: Any) -> bytes:
    """A file of one of `FORMATS`."""
    buffer = io.BytesIO()
    if kind == "PNG" and (xmp := options.pop("xmp", None)):
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    lossless = {"lossless": True} if kind in ("lossless", "transparent") else {}
    name = kind if kind in ("JPEG", "PNG") else "WEBP"
    picture(seed, kind == "transparent").save(buffer, name, **lossless, **options)
    return buffer.getvalue()


def exif(orientation: int | None = None) -> Image.Exif:
    """EXIF of a description, and an orientation."""
    made = Image.Exif()
    made[0x010E] = "a description that is longer than four bytes"
    if orientation is not None:
        made[0x0112] = orientation
    return made


def decoded(data: bytes) -> NDArray[np.uint8] | None:
    """The pixels of the upright picture; None where it cannot be decoded."""
    try:
        with decoded_file(io.BytesIO(data)) as image:
            return np.array(image)
    except ImageError:
        return None


METADATA: list[dict[str, Any]] = [{"exif": exif()}, {"xmp": XMP}, {"exif": exif(1), "xmp": XMP}]


@pytest.mark.parametrize("kind", FORMATS)
def test_metadata_do_not_change_the_key(kind: str) -> None:
    """EXIF, XMP and both, beside a file that has none."""
    plain = save(kind)
    described = [save(kind, **options) for options in METADATA]

    assert is_whole(plain)
    assert {key(data) for data in described} == {key(plain)}
    assert len(set(described)) == 3
    assert key(save(kind, seed=1)) != key(plain)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_turns_a_picture_is_part_of_its_key(kind: str) -> None:
    """By EXIF, else by XMP, as the decoder sees it; a number that means nothing turns nothing."""
    keys = [key(save(kind, exif=exif(orientation))) for orientation in range(1, 9)]

    assert len(set(keys)) == 8
    assert key(save(kind, exif=exif(9))) == keys[0]
    assert key(save(kind, xmp=TURNED_XMP)) == key(save(kind, exif=exif(), xmp=TURNED_XMP)) == keys[5]
    assert key(save(kind, exif=exif(3), xmp=TURNED_XMP)) == keys[2]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_colour_profile_is_part_of_the_key(kind: str) -> None:
    """As it is."""
    assert key(save(kind)) != key(save(kind, icc_profile=b"a" * 200))
    one, other = (save(kind, icc_profile=b"a" * 200, xmp=xmp) for xmp in (XMP, XMP + b" "))
    assert (one != other, key(one)) == (True, key(other))


def segment(code: int, body: bytes) -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, code, len(body) + 2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def after_jfif(added: bytes) -> bytes:
    """A JPEG with more segments."""
    data = save("JPEG")
    return data[:20] + added + data[20:]


def after_header(added: bytes) -> bytes:
    """A PNG with more chunks."""
    data = save("PNG")
    return data[:33] + added + data[33:]


IPTC = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x04maze"


@pytest.mark.parametrize(
    "added",
    [
        segment(0xFE, b"made by hand"),
        segment(0xED, IPTC),
        segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"x" * 99) * 2,
        segment(0xEB, b"JP" + b"x" * 60),
    ],
    ids=["comment", "IPTC", "long XMP", "C2PA"],
)
def test_other_segments_of_a_jpeg_are_left_out(added: bytes) -> None:
    """What other programs write beside EXIF and XMP."""
    assert key(after_jfif(added)) == key(save("JPEG"))


def test_where_the_pictures_of_one_file_begin_is_left_out() -> None:
    """Phones put several into a JPEG; writing a keyword moves the second, and the directory says where it is."""
    buffers = [io.BytesIO(), io.BytesIO()]
    for count, buffer in enumerate(buffers, 1):
        picture().save(buffer, "MPO", save_all=True, append_images=[picture(1)] * count)
    two, three = (buffer.getvalue() for buffer in buffers)
    start = two.index(b"MPF\0") + 4
    comment = segment(0xFE, b"a maze")
    entry = start + two[start:].index(struct.pack("<I", two.index(b"\xff\xd8", 2) - start))
    moved = struct.pack("<I", struct.unpack_from("<I", two, entry)[0] + len(comment))
    commented = two[:entry] + moved + two[entry + 4 :]
    scan = commented.index(b"\xff\xda")
    commented = commented[:scan] + comment + commented[scan:]

    assert Image.open(io.BytesIO(commented)).n_frames == 2  # type: ignore[attr-defined]
    assert key(two) == key(commented) != key(three)
    assert not is_whole(two)


@pytest.mark.parametrize(
    "added",
    [
        chunk(b"tEXt", b"Title\0a maze"),
        chunk(b"tIME", b"\x07\xea\x01\x01\0\0\0"),
        chunk(b"iTXt", b"Author\0\0\0\0\0me"),
    ],
)
def test_texts_of_a_png_are_left_out(added: bytes) -> None:
    """And the time of the last change."""
    assert key(after_header(added)) == key(save("PNG"))


@pytest.mark.parametrize(
    "data",
    [
        after_jfif(segment(0xE1, b"Exif\0\0II*\0")),
        after_jfif(segment(0xE1, b"Exif\0\0" + exif(6).tobytes()[6:]) * 2),
        after_jfif(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP) * 2),
        after_jfif(segment(0xED, IPTC[:-9])),
        after_jfif(b"\xff" + segment(0xFE, b"a")),
        after_jfif(b"\xff\xfe\0\1"),
        after_jfif(b"\xff\xfe\xff\xff"),
        after_jfif(segment(0xFE, b"") * 20_000),
        after_jfif(segment(0xE2, b"MPF\0nothing")),
        save("JPEG", comment=b"a")[:30],
        after_header(chunk(b"tEXt", b"Title\0a")[:-1] + b"?"),
        after_header(chunk(b"tEXt", b"exif\0" + exif(6).tobytes())),
        after_header(chunk(b"zTXt", b"Raw profile type exif\0\0")),
        after_header(chunk(b"tEXt", b"transparency\0x")),
        after_header(chunk(b"tEXt", b"A\0") * 20_000),
        save("PNG").replace(b"IEND", b"IENE"),
        save("PNG")[:-13],
        save("WEBP", xmp=XMP) + b"x",
        save("WEBP", xmp=XMP)[:-2],
        save("WEBP", xmp=XMP)[:20] + b"\0" + save("WEBP", xmp=XMP)[21:],
        b"RIFF\4\0\0\0WEBP",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"",
    ],
)
def test_a_doubtful_file_is_known_by_all_its_bytes(data: bytes) -> None:
    """Metadata twice, damaged, of names that a decoder takes for facts, or too much of them."""
    assert is_whole(data)


def hostile(data: bytes, dice: random.Random) -> bytes:
    """A file of which some bytes or parts are changed, repeated, removed or exchanged."""
    changed = bytearray(data)
    for _ in range(dice.choice([1, 1, 2, 4])):
        place = dice.randrange(min(len(changed), 400)) if dice.random() < 0.9 else dice.randrange(len(changed))
        kind = dice.randrange(4)
        if kind == 0:
            changed[place] = dice.randrange(256)
        elif kind == 1:
            changed[place] ^= 1 << dice.randrange(8)
        elif kind == 2:
            end = place + dice.randrange(40)
            changed[place:end] = changed[place:end] * dice.choice([0, 2])
        else:
            changed[place : place + 2] = dice.choice([b"\0\0", b"\xff\xfe", b"\xff\xe1", b"\x12\1", b"II", b"MM"])
    return bytes(changed)


@pytest.mark.parametrize("make", [save, lambda kind: save(kind, exif=exif(6), xmp=TURNED_XMP)], ids=["plain", "turned"])
@pytest.mark.parametrize("kind", FORMATS)
def test_hostile_files_of_one_key_are_one_picture(kind: str, make: Callable[[str], bytes]) -> None:
    """Whatever is changed in a file: where its key is that of another one, its pixels are too."""
    dice = random.Random(kind)
    bases = [make(kind), save(kind, exif=exif(), xmp=XMP), save(kind, exif=exif(3))]
    known = {key(data): decoded(data) for data in bases}
    for _ in range(400):
        data = hostile(dice.choice(bases), dice)
        if is_whole(data) and key(data) not in known:
            continue
        pixels, expected = decoded(data), known.setdefault(key(data), decoded(data))
        if pixels is not None and expected is not None:
            assert np.array_equal(pixels, expected)
