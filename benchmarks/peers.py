"""clipsim and what else people run, on the same ViT-B-32 weights, images and texts, in turn → a table of rates.

`python -m benchmarks.peers [--images N] [--runs N] [--python [PEER=]INTERPRETER]... [--json]`. Each peer runs as fresh
processes, in turn with the others: a whole run (start-up, reading, encoding, scores), then the model alone on prepared
pixels. A peer that its interpreter cannot import is listed with the reason; `--python infinity=PATH` names one for
those whose names hold "infinity". Peers beside clipsim's own dependencies: `pip install sentence-transformers`,
`pip install clip-retrieval`, `pip install 'infinity-emb[torch,vision]'`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.make_inputs import ARCHITECTURE, TEXTS, make_elsewhere

HERE = Path(__file__).parent
BATCH = 32
BATCHES = 6  # timed, of the model alone; the median counts
SIDE = 224
# the processor time of the thread that starts a model's others and works as long as they do: it holds on busy machines
thread_seconds = time.thread_time
ENVIRONMENT = os.environ | {"CLIPSIM_CACHE_DIR": str(HERE / "inputs" / "cache"), "HF_HUB_OFFLINE": "1"}
# multiplications and additions of ViT-B-32's image tower for one image (2 a product): 12 layers of 50 tokens and width
# 768, with 12 width² in the linear layers, 2 × 50 width in the attention; the patches; the projection
LAYER = 50 * (12 * 768**2 + 2 * 50 * 768)
FLOPS_PER_IMAGE = 2 * (12 * LAYER + 49 * 3 * 32**2 * 768 + 768 * 512)


@dataclass(frozen=True)
class Inputs:
    """What every peer is given: weights in three layouts, images, texts."""

    folder: Path
    images: int

    @property
    def weights(self) -> Path:
        """OpenCLIP's state dict."""
        return self.folder / f"{ARCHITECTURE.lower()}.safetensors"

    @property
    def transformers(self) -> Path:
        """The same weights as transformers writes a CLIPModel."""
        return self.folder / "transformers"

    @property
    def paths(self) -> list[str]:
        """The images."""
        return [str(path) for path in sorted((self.folder / "640x480").glob("*.jpg"))[: self.images]]

    def make(self) -> None:
        """Write what is missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        folder = f"Path({str(self.folder)!r})"
        make_elsewhere(f"make_weights({folder}); make_pictures({folder}, {self.images}, (640, 480))")
        if not (self.transformers / "model.safetensors").exists():
            subprocess.run([sys.executable, "-m", "benchmarks.peers", "--convert", str(self.folder)], check=True)


def convert(inputs: Inputs) -> None:
    """Write OpenCLIP's ViT-B-32 weights as a folder of transformers, with its tokenizer and image processor."""
    import open_clip
    import torch
    import transformers
    from safetensors.torch import load_file

    state = load_file(inputs.weights)
    converted = {
        "logit_scale": state["logit_scale"],
        "visual_projection.weight": state["visual.proj"].T,
        "text_projection.weight": state["text_projection"].T,
        "vision_model.embeddings.class_embedding": state["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": state["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": state["visual.positional_embedding"],
        "text_model.embeddings.token_embedding.weight": state["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": state["positional_embedding"],
    }
    norms = {
        "visual.ln_pre": "vision_model.pre_layrnorm",
        "visual.ln_post": "vision_model.post_layernorm",
        "ln_final": "text_model.final_layer_norm",
    }
    parts = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj"}
    parts |= {"mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
    for kind in ("weight", "bias"):
        for ours, theirs in norms.items():
            converted[f"{theirs}.{kind}"] = state[f"{ours}.{kind}"]
        for tower, name in (("visual.transformer", "vision_model"), ("transformer", "text_model")):
            for layer in range(12):
                ours, theirs = f"{tower}.resblocks.{layer}", f"{name}.encoder.layers.{layer}"
                for part, other in parts.items():
                    converted[f"{theirs}.{other}.{kind}"] = state[f"{ours}.{part}.{kind}"]
                thirds = state[f"{ours}.attn.in_proj_{kind}"].chunk(3)
                for letter, third in zip("qkv", thirds, strict=True):
                    converted[f"{theirs}.self_attn.{letter}_proj.{kind}"] = third
    words = open_clip.tokenizer.SimpleTokenizer()
    inputs.transformers.mkdir(exist_ok=True)
    special = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {special.get(word, word): number for word, number in words.encoder.items()}
    (inputs.transformers / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    merges = ["#version: 0.2", *map(" ".join, words.bpe_ranks)]
    (inputs.transformers / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77}
    (inputs.transformers / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    transformers.AutoTokenizer.from_pretrained(inputs.transformers).save_pretrained(inputs.transformers)
    transformers.CLIPImageProcessor().save_pretrained(inputs.transformers)
    config = transformers.CLIPConfig(
        text_config={"hidden_act": "gelu", "eos_token_id": 49407, "bos_token_id": 49406},
        vision_config={"hidden_act": "gelu"},
    )
    model = transformers.CLIPModel(config)
    missing, unexpected = model.load_state_dict({k: v.contiguous() for k, v in converted.items()}, strict=False)
    if unexpected or any("position_ids" not in name for name in missing):
        raise SystemExit(f"weights do not fit: {missing} {unexpected}")
    with torch.no_grad():
        model.save_pretrained(inputs.transformers)


def run_transformers(inputs: Inputs) -> list[list[float]]:
    """The zero-shot pipeline: it gives probabilities, whose order is compared."""
    import transformers

    pipeline = transformers.pipeline("zero-shot-image-classification", model=str(inputs.transformers), device="cpu")
    answers = pipeline(inputs.paths, candidate_labels=list(TEXTS), hypothesis_template="{}", batch_size=BATCH)
    scores = [{row["label"]: row["score"] for row in rows} for rows in answers]
    return [[row[text] for row in scores] for text in TEXTS]


def load_sentence_transformers(inputs: Inputs) -> Any:
    """A SentenceTransformer of the CLIP model."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import CLIPModel

    return SentenceTransformer(modules=[CLIPModel(str(inputs.transformers))], device="cpu")


def run_sentence_transformers(inputs: Inputs) -> list[list[float]]:
    """Its encode of opened images and of texts."""
    from PIL import Image

    model = load_sentence_transformers(inputs)
    opened = [Image.open(path) for path in inputs.paths]
    images = model.encode(opened, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)
    texts = model.encode(list(TEXTS), normalize_embeddings=True, show_progress_bar=False)
    cosines: list[list[float]] = (texts @ images.T).tolist()
    return cosines


def run_infinity(inputs: Inputs) -> list[list[float]]:
    """Infinity's engine in the process, without its HTTP."""
    from infinity_emb import AsyncEmbeddingEngine, EngineArgs
    from PIL import Image

    async def embed() -> tuple[Any, Any]:
        engine = AsyncEmbeddingEngine.from_args(
            EngineArgs(model_name_or_path=str(inputs.transformers), engine="torch", device="cpu", batch_size=BATCH)
        )
        async with engine:
            images, _ = await engine.image_embed(images=[Image.open(path) for path in inputs.paths])
            texts, _ = await engine.embed(sentences=list(TEXTS))
        return np.array(images), np.array(texts)

    images, texts = asyncio.run(embed())
    cosines: list[list[float]] = (texts @ images.T).tolist()
    return cosines


def run_clip_retrieval(inputs: Inputs) -> list[list[float]]:
    """clip-retrieval's inference of images; it has no texts of its own to score."""
    import tempfile

    from clip_retrieval.clip_inference.main import main as inference

    with tempfile.TemporaryDirectory() as output:
        source = Path(output) / "images"
        source.mkdir()
        for path in inputs.paths:
            os.link(path, source / Path(path).name)
        name = f"open_clip:{ARCHITECTURE}/{inputs.weights}"
        inference(str(source), output, clip_model=name, batch_size=BATCH, num_prepro_workers=2, enable_text=False)
    return []


def load_open_clip(inputs: Inputs) -> Callable[[Any], Any]:
    """The image tower as the hand-written script calls it."""
    import open_clip
    import torch

    model = open_clip.create_model(ARCHITECTURE, pretrained=str(inputs.weights)).eval()

    def encode(pixels: Any) -> Any:
        with torch.no_grad():
            return model.encode_image(torch.from_numpy(pixels))

    return encode


def load_transformers(inputs: Inputs) -> Callable[[Any], Any]:
    """The image tower as transformers' pipeline and sentence-transformers call it."""
    import torch
    import transformers

    model = transformers.CLIPModel.from_pretrained(inputs.transformers).eval()

    def encode(pixels: Any) -> Any:
        with torch.no_grad():
            return model.get_image_features(pixel_values=torch.from_numpy(pixels))

    return encode


def load_clipsim(inputs: Inputs, engine: str, precision: str) -> Callable[[Any], Any]:
    """Clipsim's encoder."""
    import clipsim

    session = clipsim.open(
        ARCHITECTURE, weights=str(inputs.weights), device="cpu", engine=engine, precision=precision, cache=False
    )
    encoder = session.embedder.encoder  # which takes pixels as they are decoded, and normalises them itself
    return lambda pixels: encoder.encode_images((pixels * 40 + 128).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1))


def measure_matrix_limit() -> float:
    """GFLOP/s of a large product by oneDNN, which torch carries: the most that the model's arithmetic could reach."""
    import torch

    rows, inner, columns = 1600, 3072, 3072
    left, right = torch.randn(rows, inner), torch.randn(columns, inner).to_mkldnn()
    bias, dense = torch.randn(columns), left.to_mkldnn()
    seconds = []
    with torch.no_grad():
        for _ in range(12):
            start = thread_seconds()
            torch._C._nn.mkldnn_linear(dense, right, bias)
            seconds.append(thread_seconds() - start)
    return 2e-9 * rows * inner * columns / statistics.median(seconds[2:])


@dataclass(frozen=True)
class Peer:
    """A way to score images against texts: how it runs as a whole, and its model alone (None: cannot be separated)."""

    name: str
    run: Callable[[Inputs], list[list[float]]] | None = None  # in a process of this module
    command: Callable[[Inputs], list[str]] | None = None  # or a command line
    load: Callable[[Inputs], Callable[[Any], Any]] | None = None


def by_hand(batch: int) -> Callable[[Inputs], list[str]]:
    """The hand-written script, with batches of that size."""
    return lambda inputs: [
        *("-m", "benchmarks.by_hand", str(inputs.weights), str(batch), *inputs.paths),
        *("--", *TEXTS),
    ]


def rank(*options: str) -> Callable[[Inputs], list[str]]:
    """`clipsim rank` without the cache."""
    texts = [part for text in TEXTS for part in ("--text", text)]
    model = ["--model", ARCHITECTURE, "--device", "cpu", "--batch-size", str(BATCH)]
    return lambda inputs: [
        *("-m", "clipsim", "rank", *inputs.paths, *texts, *model, "--weights", str(inputs.weights)),
        *("--no-cache", "--json", *options),
    ]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("by hand, one by one", command=by_hand(1)),
        Peer("by hand, batched", command=by_hand(BATCH), load=load_open_clip),
        Peer("transformers pipeline", run_transformers, load=load_transformers),
        Peer("sentence-transformers", run_sentence_transformers, load=load_transformers),
        Peer("clip-retrieval", run_clip_retrieval),
        Peer("infinity, its engine", run_infinity),
        Peer("clipsim, torch", command=rank("--engine", "torch"), load=lambda i: load_clipsim(i, "torch", "fp32")),
        Peer("clipsim, export", command=rank("--engine", "onnx"), load=lambda i: load_clipsim(i, "onnx", "fp32")),
        Peer("clipsim, bf16", command=rank("--precision", "bf16"), load=lambda i: load_clipsim(i, "torch", "bf16")),
    )
}


def run_part(part: str, peer: Peer, inputs: Inputs) -> Any:
    """One part in this process: the whole run's cosines, or the model's images a second."""
    if part == "whole":
        assert peer.run is not None
        return peer.run(inputs)
    assert peer.load is not None
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line sets it
    encode = peer.load(inputs)
    pixels = np.random.default_rng(0).normal(size=(BATCH, 3, SIDE, SIDE)).astype(np.float32)
    encode(pixels)
    seconds = []
    for _ in range(BATCHES):
        start = thread_seconds()
        encode(pixels)
        seconds.append(thread_seconds() - start)
    return BATCH / statistics.median(seconds)


@dataclass
class Figures:
    """What was measured of one peer."""

    name: str
    seconds: list[float] = field(default_factory=list)  # of whole runs
    core_seconds: list[float] = field(default_factory=list)  # theirs, of all cores
    memory: list[float] = field(default_factory=list)  # their peaks, MB
    model_only: list[float] = field(default_factory=list)  # images a second
    reason: str | None = None  # why it did not run

    def measure(self, python: str, peer: Peer, inputs: Inputs) -> None:
        """Run it once more, whole and the model alone."""
        own = ["-m", "benchmarks.peers", "--inputs", str(inputs.folder), "--images", str(inputs.images)]
        whole = peer.command(inputs) if peer.command else [*own, "--part", "whole", "--peer", peer.name]
        start = time.perf_counter()
        if (output := self._run([python, *whole])) is None:
            return
        self.seconds.append(time.perf_counter() - start)
        self.memory.append(output[1])
        self.core_seconds.append(output[2])
        if peer.load and (output := self._run([python, *own, "--part", "model", "--peer", peer.name])):
            self.model_only.append(float(output[0].splitlines()[-1]))

    def _run(self, command: list[str]) -> tuple[str, float, float] | None:
        """Standard output, peak memory in MB and processor time; None, and the reason is kept, where it failed."""
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=HERE.parent, env=ENVIRONMENT, text=True
        )
        assert process.stdout is not None
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()))
        reader.start()
        output = process.stdout.read()
        reader.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            self.reason = errors[-1].strip() if errors else f"status {process.returncode}"
            return None
        return output, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def choose_python(peer: Peer, options: Sequence[str]) -> str:
    """The interpreter of a peer, by the values of `--python`: the last that fits. Scripts of ours run in this one."""
    chosen = sys.executable
    for option in () if peer.command else options:
        name, equals, interpreter = option.rpartition("=")
        if not equals or name in peer.name:
            chosen = interpreter
    return chosen


def print_table(results: list[Figures], limit: float, images: int) -> None:
    """The table, ratios against the batched script."""
    table = Table(title=f"{ARCHITECTURE}, random weights, {images} images of 640 × 480, {len(TEXTS)} texts")
    columns = ("peer", "whole run", "of by hand", "processor time", "model only", "of the matrix limit", "peak memory")
    for column in columns:
        table.add_column(column, justify="left" if column == "peer" else "right")
    base = next((statistics.median(r.seconds) for r in results if r.name == "by hand, batched" and r.seconds), None)
    for result in results:
        if not result.seconds:
            continue
        seconds = statistics.median(result.seconds)
        model = statistics.median(result.model_only) if result.model_only else None
        table.add_row(
            result.name,
            f"{seconds:.1f} s",
            f"{seconds / base:.2f} ×" if base else "",
            f"{statistics.median(result.core_seconds):.1f} s",
            f"{model:.1f}/s" if model else "",
            f"{model * FLOPS_PER_IMAGE * 1e-9 / limit:.2f}" if model else "",
            f"{statistics.median(result.memory):,.0f} MB",
        )
    console = Console()
    console.print(table)
    for result in results:
        if not result.seconds:
            console.print(f"{result.name} did not run: {result.reason}")
    console.print(f"matrix limit: {limit:.0f} GFLOP/s (oneDNN, fp32, measured in this run)")


def main() -> None:
    """Run the peers in turn and print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--runs", type=int, default=3, help="of each peer")
    parser.add_argument("--peers", default="", help="only those whose name holds this")
    parser.add_argument("--python", action="append", default=[], help="with other packages: [PEER=]INTERPRETER")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inputs", type=Path, default=HERE / "inputs", help="where weights and images are kept")
    parser.add_argument("--convert", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--part", choices=["whole", "model", "limit"], help=argparse.SUPPRESS)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    inputs = Inputs((options.convert or options.inputs).resolve(), options.images)
    if options.convert:
        convert(inputs)
    elif options.part == "limit":
        print(measure_matrix_limit())
    elif options.part:
        print(json.dumps(run_part(options.part, PEERS[options.peer], inputs)))
    else:
        inputs.make()
        export = ["models", "export", ARCHITECTURE, "--weights", str(inputs.weights)]
        subprocess.run([sys.executable, "-m", "clipsim", *export], check=True, cwd=HERE.parent, env=ENVIRONMENT)
        chosen = [peer for name, peer in PEERS.items() if options.peers in name]
        results = [Figures(peer.name) for peer in chosen]
        limits = []
        for _ in range(options.runs):
            limit = [sys.executable, "-m", "benchmarks.peers", "--part", "limit"]
            limits.append(float(subprocess.run(limit, check=True, cwd=HERE.parent, stdout=subprocess.PIPE).stdout))
            for peer, result in zip(chosen, results, strict=True):
                if not result.reason:
                    result.measure(choose_python(peer, options.python), peer, inputs)
        if options.json:
            print(json.dumps({"matrix_limit": limits, "images": options.images, "peers": [asdict(r) for r in results]}))
        else:
            print_table(results, statistics.median(limits), options.images)


if __name__ == "__main__":
    main()
