"""A model → an export of it: both towers are written, compared with torch, and only then put in place."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.engines.onnx.encoder import OnnxEncoder
from clipsim.engines.onnx.exports import (
    DAMAGED,
    FACTS,
    INFO_FILE,
    TOKENIZER_FILE,
    UNFINISHED,
    Agreement,
    Difference,
    Export,
    describe_source,
)
from clipsim.engines.onnx.tokenizer import PlainTokenizer, TokenRules
from clipsim.engines.torch.encoder import ClipEncoder
from clipsim.engines.torch.graphs import write_towers
from clipsim.engines.torch.tokenizer import TOKENIZER_CHECK_TEXTS, write_vocabulary
from clipsim.errors import ClipsimError, ModelError, Setting, first_line, printable
from clipsim.files import digest_file, digest_files, rename_over
from clipsim.models.files import ModelFiles
from clipsim.models.identity import identify_model, package_version
from clipsim.models.names import ModelSpec

# Limits of the agreement with torch: of the smallest cosine in fp32, of the mean centred cosine in int8. Six models of
# different kinds gave centred cosines of 0.9983 to 0.99997 in int8, all rows of a batch with one scale. At 0.99, a
# seventh (the sine) of what tells one input from another is error, and neighbours in a ranking change places.
MIN_COSINE_FP32, MIN_CENTRED_COSINE_INT8 = 0.9999, 0.99
RUN_BY_TORCH = ("run the model with ", Setting("engine", "torch"))
PACKAGES = ("clipsim", "torch", "open_clip_torch", "onnx", "onnxruntime", "tokenizers")
_ABANDONED_SECONDS = 24 * 3600  # unfinished folders that are older are removed
CHECK_TEXTS = (
    "cat", "a photo of a dog", "!", "A small, red house by the sea; two boats & a lighthouse in the evening light.",
    "naïve café 猫 😀", "x", "the quick brown fox jumps over the lazy dog " * 3, "word " * 200,
)  # fmt: skip


def export_model(
    spec: ModelSpec,
    files: ModelFiles,
    folder: Path,
    *,
    int8: bool,
    on_step: Callable[[str], None] = lambda _: None,
) -> Export:
    """Write a model's export under `folder`, in place of an earlier one; `on_step` gets the name of each step.

    Raises ModelError and its family for a model that cannot be loaded or exported, for an export whose vectors differ
    too much from torch's, and for files that cannot be written; what was written is removed.
    """
    engine = "onnx-int8" if int8 else "onnx"
    shown = printable(spec.name)
    try:
        begun = time.time_ns()
        weights = digest_files([files.weights])  # read once for both
        identity = identify_model(
            spec, files, lambda paths: weights | digest_files(path for path in paths if path not in weights)
        )
        source = describe_source(files.weights, weights[files.weights], begun) | {"changes": spec.changes}
        weights_bytes = sum(path.stat().st_size for path in files.parts or [files.weights])
        with _unfinished(folder, 3 * weights_bytes) as draft:
            on_step("loading the model")
            encoder = ClipEncoder(spec, files, device="cpu", precision="fp32")
            facts = encoder.facts
            if facts.preprocessing.backend != "pillow":
                raise ModelError(f"{shown}: this model's images are resized by torchvision, so it cannot be exported")
            rules = write_vocabulary(encoder.tokenizer, draft / TOKENIZER_FILE)
            _check_vocabulary(encoder, draft / TOKENIZER_FILE, rules)
            on_step("exporting the model")
            towers = ("image.onnx", "text.onnx")
            raw = [draft / f"raw-{name}" for name in towers]
            shortens = write_towers(encoder, *raw)
            for name, graph in zip(towers, raw, strict=True):
                finish_graph(graph, draft / name, int8=int8)
            written = sorted(draft.iterdir())
            export = Export(
                folder=draft,
                engine=engine,
                identity=identity,
                name=spec.name,
                kind=spec.kind,
                facts={name: value for name, value in asdict(facts).items() if name in FACTS},
                token_rules=asdict(rules),
                texts_shorten=shortens,
                images=Agreement(0, 0, 0, 0),
                texts=Agreement(0, 0, 0, 0),
                cosines=Difference(0, 0),
                source=source,
                files={path.name: path.stat().st_size for path in written},
                digests={path.name: digest_file(path) for path in written},
                versions={name: package_version(name) for name in PACKAGES},
                made=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            )
            on_step("comparing it with torch")
            export = _check(encoder, spec, export)
            (draft / INFO_FILE).write_text(
                json.dumps(export.to_dict(), indent=1) + "\n", encoding="utf-8", newline="\n"
            )
            return _put_in_place(export, folder / f"{identity}-{engine}")
    except ClipsimError:
        raise
    except OSError as error:
        where = printable(str(error.filename or folder))
        raise ModelError(f"{where}: cannot write the export: {error.strerror or error}") from error
    except Exception as error:
        cause = first_line(error, 160)
        raise ModelError(f"{shown}: this model cannot be exported ({cause})", hint=RUN_BY_TORCH) from error


def _check_vocabulary(encoder: ClipEncoder, path: Path, rules: TokenRules) -> None:
    """Raise ModelError where the ids of the exported tokenizer differ from the model's own."""
    plain = PlainTokenizer(path, rules)
    texts = (*TOKENIZER_CHECK_TEXTS, " ".join(TOKENIZER_CHECK_TEXTS[:6]))
    expected, actual = encoder.tokenizer(texts, truncate=True).numpy(), plain(texts, truncate=True)
    if expected.shape != actual.shape or (expected != actual).any():
        raise ModelError("the exported tokenizer gives other token ids than the model's own, so it cannot be exported")


def _check(encoder: ClipEncoder, spec: ModelSpec, export: Export) -> Export:
    """The export with its agreement with torch. Raises ModelError where the two differ too much."""
    made = OnnxEncoder(spec, export)
    images_checked = check_images(*encoder.facts.preprocessing.size)
    expected = encoder.encode_images(images_checked), encoder.encode_texts(CHECK_TEXTS, truncate=True)
    actual = (
        _in_batches(made.encode_images, images_checked),
        _in_batches(lambda part: made.encode_texts(part, truncate=True), CHECK_TEXTS),
    )
    images, texts = (compare_vectors(*pair) for pair in zip(expected, actual, strict=True))
    for what, check in (("images", images), ("texts", texts)):
        figure, minimum = (
            (check.centred, MIN_CENTRED_COSINE_INT8) if export.engine == "onnx-int8" else (check.least, MIN_COSINE_FP32)
        )
        if not figure >= minimum:  # true for NaN too
            raise ModelError(
                f"{printable(spec.name)}: the vectors of the {export.engine} export differ too much from torch's for "
                f"{what} (cosine {figure:.6f}, needed {minimum}), so it is not kept",
                hint=RUN_BY_TORCH,
            )
    return replace(export, images=images, texts=texts, cosines=_compare_cosines(expected, actual))


def _in_batches(encode: Callable[[Any], NDArray[np.float32]], inputs: Any) -> NDArray[np.float32]:
    """The vectors of eight inputs, encoded in batches of one and of three."""
    return np.concatenate([encode(inputs[start:end]) for start, end in ((0, 1), (1, 4), (4, 7), (7, 8))])


def compare_vectors(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> Agreement:
    """(n, d) vectors of torch and of an export → how well they agree."""
    a, b = _unit(expected), _unit(actual)
    cosines = (a * b).sum(axis=1)
    centre = a.mean(axis=0)
    centred = (_unit(a - centre) * _unit(b - centre)).sum(axis=1)
    least, mean, centred_mean = (round(float(value), 7) for value in (cosines.min(), cosines.mean(), centred.mean()))
    return Agreement(len(cosines), least, mean, centred_mean)


def _compare_cosines(expected: Sequence[NDArray[np.float32]], actual: Sequence[NDArray[np.float32]]) -> Difference:
    """(images, texts) of torch and of an export → how far the cosines of all pairs are apart."""
    (images, texts), (export_images, export_texts) = map(_unit, expected), map(_unit, actual)
    differences = np.abs(texts @ images.T - export_texts @ export_images.T)
    return Difference(round(float(differences.max()), 7), round(float(differences.mean()), 7))


def _unit(vectors: NDArray[Any]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    unit: NDArray[np.float64] = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return unit


@contextmanager
def _unfinished(folder: Path, needed: int) -> Iterator[Path]:
    """A folder to write in, removed afterwards unless it was renamed; so are those that killed processes have left."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(f"{UNFINISHED}*"):
        if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelError(
            f"{printable(str(folder))}: an export takes {needed / 1e9:.1f} GB while it is written, and "
            f"{free / 1e9:.1f} GB are free; set CLIPSIM_CACHE_DIR to a folder on another disk"
        )
    draft = folder / f"{UNFINISHED}{os.getpid()}-{time.time_ns()}"
    draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put_in_place(export: Export, target: Path) -> Export:
    """Rename the folder to its final name, in place of an earlier one."""
    old = export.folder.with_name(f"{export.folder.name}-old")
    if target.exists():
        rename_over(str(target), str(old))
    rename_over(str(export.folder), str(target))
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(target.with_name(f"{DAMAGED}{target.name}"), ignore_errors=True)
    return Export.read(target)


def check_images(height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Eight images, (8, h, w, 3) uint8: noise, gradients, a chequerboard, waves, a plain colour and a spot."""
    random = np.random.default_rng(4)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    down, right = rows / max(1, height - 1), columns / max(1, width - 1)
    made = [
        random.integers(0, 256, (height, width, 3)),
        np.repeat(random.integers(0, 256, (height, width, 1)), 3, axis=2),
        255 * np.stack([down, right, 1 - down], axis=2),
        255 * np.stack([right * down, 1 - right, 0.5 + 0 * down], axis=2),
        np.where(((rows // 8 + columns // 8) % 2 == 0)[..., None], (250, 240, 30), (20, 30, 90)),
        127 + 127 * np.sin(np.stack([columns / 3, rows / 5, (rows + columns) / 9], axis=2)),
        np.full((height, width, 3), (200, 30, 60)),
        255 * np.exp(-((down - 0.5) ** 2 + (right - 0.4) ** 2) * 12)[..., None] * (1.0, 0.7, 0.2),
    ]
    pixels: np.ndarray[Any, np.dtype[np.uint8]] = np.stack(made).clip(0, 255).astype(np.uint8)
    return pixels


LARGE_TENSOR_BYTES = 1024  # smaller tensors stay in the graph's own file
ORT_DOMAIN = "com.microsoft"  # of the operators that ONNX Runtime adds to ONNX


def finish_graph(raw: Path, target: Path, *, int8: bool) -> None:
    """Quantise if asked, optimise, and write to `target` with the weights beside it; `raw` is removed.

    Exceptions of onnx and ONNX Runtime are not translated.
    """
    graphs = [raw]
    if int8:
        graphs.append(target.with_suffix(".int8.onnx"))
        _quantise(*graphs)
    _optimise(graphs[-1], target)
    for path in graphs:
        for file in (path, path.with_name(f"{path.name}.data")):
            file.unlink(missing_ok=True)


def _quantise(source: Path, target: Path) -> None:
    """Matrices to int8, with a scale for each column; convolutions stay fp32.

    What a matrix multiplies is quantised at run time by the range of each row, so that an input's vector does not
    depend on what else is in its batch, and large values in one row take no digits from the others.
    """
    import onnx

    model = onnx.load(str(source))
    graph = model.graph
    matrices = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 2}
    nodes: list[Any] = []
    replaced: set[str] = set()
    quantised: set[str] = set()
    for node in graph.node:
        if not _multiplies(node, matrices):
            nodes.append(node)
            continue
        rows, name = node.input[:2]
        transposed = any(part.name == "transB" and part.i for part in node.attribute)
        weight = f"{name}.transposed" if transposed else name
        if weight not in replaced:
            replaced.add(weight)
            graph.initializer.extend(_quantise_matrix(matrices[name], weight, transposed=transposed))
        if rows not in quantised:
            quantised.add(rows)
            nodes += _quantise_rows(rows)
        bias = node.input[2] if len(node.input) > 2 else ""
        nodes += _multiply_quantised(rows, weight, bias, node.output[0])
    graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(value), f"int8.{name}")
        for name, value in {"step": np.float32(1 / 127), "zero": np.uint8(128), "least": np.float32(1e-20)}.items()
    )
    used = {name for node in nodes for name in node.input} | {output.name for output in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    for field, values in ((graph.initializer, kept), (graph.node, nodes)):
        del field[:]
        field.extend(values)
    if not any(opset.domain == ORT_DOMAIN for opset in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(ORT_DOMAIN, 1))
    location = f"{target.name}.data"
    onnx.save(model, str(target), save_as_external_data=True, location=location, size_threshold=LARGE_TENSOR_BYTES)


def _multiplies(node: Any, matrices: Mapping[str, Any]) -> bool:
    """Whether a node multiplies rows by a constant matrix, and does nothing else but add a bias."""
    if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in matrices:
        return False
    settings = {part.name: part.i if part.name.startswith("trans") else part.f for part in node.attribute}
    return not settings.get("transA", 0) and settings.get("alpha", 1.0) == settings.get("beta", 1.0) == 1.0


def _quantise_matrix(matrix: Any, name: str, *, transposed: bool) -> list[Any]:
    """An (in, out) matrix, or its transpose → its columns as int8, and their scales."""
    from onnx import numpy_helper

    values = numpy_helper.to_array(matrix).astype(np.float32)
    values = values.T if transposed else values
    scales = np.maximum(np.abs(values).max(axis=0) / 127, np.float32(1e-20))
    columns = np.ascontiguousarray(np.rint(values / scales).astype(np.int8))
    return [numpy_helper.from_array(columns, f"{name}.int8"), numpy_helper.from_array(scales, f"{name}.scales")]


def _quantise_rows(name: str) -> list[Any]:
    """The nodes that divide each row by its greatest magnitude, and make uint8 of it, with 128 for zero."""
    from onnx.helper import make_node

    return [
        make_node("Abs", [name], [f"{name}.abs"]),
        make_node("ReduceMax", [f"{name}.abs"], [f"{name}.max"], axes=[-1], keepdims=1),
        make_node("Max", [f"{name}.max", "int8.least"], [f"{name}.range"]),
        make_node("Reciprocal", [f"{name}.range"], [f"{name}.inverse"]),
        make_node("Mul", [name, f"{name}.inverse"], [f"{name}.scaled"]),
        make_node("QuantizeLinear", [f"{name}.scaled", "int8.step", "int8.zero"], [f"{name}.int8"]),
    ]


def _multiply_quantised(rows: str, weight: str, bias: str, output: str) -> list[Any]:
    """The nodes that multiply quantised rows by a quantised matrix, and scale the product."""
    from onnx.helper import make_node

    product = [f"{rows}.int8", f"{weight}.int8", "int8.step", f"{weight}.scales", "int8.zero"]
    scaled = f"{output}.product" if bias else output
    nodes = [
        make_node("MatMulIntegerToFloat", product, [f"{output}.unscaled"], domain=ORT_DOMAIN),
        make_node("Mul", [f"{output}.unscaled", f"{rows}.range"], [scaled]),
    ]
    return [*nodes, make_node("Add", [scaled, bias], [output])] if bias else nodes


def _optimise(source: Path, target: Path) -> None:
    """Let ONNX Runtime fuse operations, in ways that suit any machine, and write the result for all later runs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.disable_prepacking", "1")
    for name, value in (("file_name", f"{target.name}.data"), ("min_size_in_bytes", str(LARGE_TENSOR_BYTES))):
        options.add_session_config_entry(f"session.optimized_model_external_initializers_{name}", value)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
