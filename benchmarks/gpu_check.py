"""One run that says whether clipsim keeps its promises on a GPU: facts, agreement, speed, decoding, embed and faults.

`python -m benchmarks.gpu_check [--device cuda] [--quick] [--parts facts agreement …] [--deadline 500] [--output FILE]`.
Each part is a process of its own, which may crash; the file is written after each. `--device cpu --quick` rehearses it:
small models and few images, without what only CUDA has. The exit status is 1 where a part failed or a limit was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.make_inputs import make_pictures

HERE = Path(__file__).parent
SEED_IMAGES = 512  # that are drawn; the others are hard links to them
LIMITS = {"fp32": 1e-6, "fp16": 1e-5, "bf16": 1e-3}  # of 1 - cos to the CPU in fp32
MIN_SHARE = 0.8  # of the model's own speed that `embed` reaches
LARGE = ("ViT-L-14", "ViT-SO400M-14-SigLIP", "ViT-H-14")  # for which that is held
TEXT_TOWER = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}
FAMILIES = (
    "ViT-B-32", "RN50", "coca_ViT-B-32", "convnext_base", "ViTamin-S", "MobileCLIP-S1", "EVA02-B-16", "PE-Core-B-16",
)  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """How much a run does."""

    families: tuple[str, ...]
    models: tuple[str, ...]
    batches: tuple[int, ...]
    images: int  # that `embed` embeds
    size: tuple[int, int]  # of its images
    seconds: float  # that a rate is measured for
    decoders: tuple[int, ...]


FULL = Sizes(FAMILIES, ("ViT-B-32", *LARGE), (32, 128, 512), 20_480, (640, 480), 1.0, (8, 16))
QUICK = Sizes(("ViT-S-32-alt",), ("ViT-S-32-alt",), (2, 4), 24, (96, 64), 0.05, (2,))


@dataclass(frozen=True)
class Check:
    """What a part needs to know."""

    device: str
    sizes: Sizes
    folder: Path

    @property
    def on_cuda(self) -> bool:
        """Whether the device is a GPU of CUDA or ROCm."""
        return self.device.startswith("cuda")

    @property
    def precision(self) -> str:
        """The device's default."""
        return "fp16" if self.on_cuda else "fp32"

    def open_encoder(self, architecture: str, precision: str | None = None, device: str | None = None) -> Any:
        """A `ClipEncoder` with random weights."""
        from clipsim.engines.torch.encoder import ClipEncoder
        from clipsim.models.files import find_files
        from clipsim.models.names import find_model

        spec = find_model(str(self.make_model(architecture)))
        return ClipEncoder(spec, find_files(spec), device=device or self.device, precision=precision)

    def make_model(self, architecture: str) -> Path:
        """The folder of a model with random weights; a text tower that needs a download is replaced by a plain one."""
        folder = self.folder / f"model_{architecture}"
        weights = folder / "open_clip_model.safetensors"
        if not weights.exists():
            import open_clip
            import torch
            from safetensors.torch import save_file

            folder.mkdir(exist_ok=True)
            config = open_clip.get_model_config(architecture)
            if "hf_tokenizer_name" in config["text_cfg"] or "hf_model_name" in config["text_cfg"]:
                config["text_cfg"] = TEXT_TOWER
                config.pop("custom_text", None)
            name = f"{architecture}-check"
            (folder / f"{name}.json").write_text(json.dumps(config))
            open_clip.add_model_config(folder / f"{name}.json")
            torch.manual_seed(0)
            state = open_clip.create_model(name, load_weights=False).state_dict()
            state["logit_scale"].fill_(np.log(100.0))
            settings = {"model_cfg": config, "preprocess_cfg": {}}
            (folder / "open_clip_config.json").write_text(json.dumps(settings))
            save_file({key: tensor.clone().contiguous() for key, tensor in state.items()}, weights)
        return folder

    def make_links(self, count: int) -> list[Path]:
        """Images under as many names; hard links count as files of their own."""
        drawn = make_pictures(self.folder, min(count, SEED_IMAGES), self.sizes.size)
        links = self.folder / f"links{count}"
        if not links.exists():
            links.mkdir()
            for number in range(count):
                os.link(drawn[number % len(drawn)], links / f"{number:05d}.jpg")
        return sorted(links.iterdir())


Part = Callable[[Check, dict[str, Any]], None]  # adds its figures to the record, which is kept if the part crashes


def measure_facts(check: Check, record: dict[str, Any]) -> None:
    """What the machine is, and how fast it copies."""
    import torch

    record |= {"python": platform.python_version(), "torch": torch.__version__, "cores": len(os.sched_getaffinity(0))}
    if not check.on_cuda:
        return
    properties = torch.cuda.get_device_properties(check.device)
    record |= {
        "gpu": properties.name,
        "gib": round(properties.total_memory / 2**30, 1),
        "capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
        "gpus": torch.cuda.device_count(),
    }
    for kind in ("pinned", "pageable"):
        host = torch.empty(128 * 224 * 224 * 3, dtype=torch.uint8, pin_memory=kind == "pinned")
        device = host.to(check.device)
        for name, target, source in (("to the GPU", device, host), ("to the host", host, device)):
            rate = 1 / time_on_device(lambda: target.copy_(source, non_blocking=True), check)  # noqa: B023 (called here)
            record[f"{kind}, GB/s {name}"] = round(rate * host.numel() / 1e9, 2)


def check_agreement(check: Check, record: dict[str, Any]) -> None:
    """`clipsim doctor`, and how far vectors of each family and precision are from the CPU's in fp32."""
    done = subprocess.run([sys.executable, "-m", "clipsim", "doctor", "--json"], capture_output=True, text=True)
    record["doctor"] = done.returncode == 0
    from clipsim.engines.torch.devices import list_precisions

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (8, 6, 8, 3), dtype=np.uint8)
    from PIL import Image

    images = [Image.fromarray(part).resize((320, 240)) for part in noise]
    for architecture in check.sizes.families:
        reference = check.open_encoder(architecture, "fp32", "cpu")
        pixels = np.stack([reference.prepare_image(image) for image in images])
        expected = reference.encode_images(pixels), reference.encode_texts(["a maze", "a cat"])
        del reference
        for precision in list_precisions(check.device):
            encoder = check.open_encoder(architecture, precision)
            actual = encoder.encode_images(pixels), encoder.encode_texts(["a maze", "a cat"])
            if encoder.queue is not None:  # as embed does, often enough for a graph
                tickets = [encoder.queue.submit(list(pixels), len(pixels)) for _ in range(8)]
                actual = encoder.queue.result(tickets[-1]), actual[1]
            worst = max(float((1 - cosines(*pair)).max()) for pair in zip(actual, expected, strict=True))
            limit = LIMITS.get(precision)
            record[f"{architecture} {precision}"] = {"1 - cos": worst, "passed": limit is None or worst <= limit}
            del encoder
            free_memory(check)


def measure_models(check: Check, record: dict[str, Any]) -> None:
    """Images a second of the model alone, by the events of the device, without and with a graph."""
    for architecture in check.sizes.models:
        encoder = check.open_encoder(architecture, check.precision)
        for batch in check.sizes.batches:
            record[f"{architecture} {batch}"] = {
                kind: round(batch / time_on_device(work, check))
                for kind, work in tower_of(encoder, check, batch).items()
            }
            free_memory(check)
        del encoder
        free_memory(check)


def measure_launch(check: Check, record: dict[str, Any]) -> None:
    """Milliseconds of the host to launch one batch, beside threads that decode."""
    architecture = check.sizes.models[0]
    encoder = check.open_encoder(architecture, check.precision)
    paths = check.make_links(check.sizes.images)
    for decoders in (0, *check.sizes.decoders):
        with decoding_threads(encoder, paths, decoders):
            for kind, work in tower_of(encoder, check, 32).items():
                seconds: list[float] = []
                until = time.perf_counter() + check.sizes.seconds
                while time.perf_counter() < until or len(seconds) < 3:
                    synchronize(check)
                    begun = time.perf_counter()
                    work()
                    seconds.append(time.perf_counter() - begun)
                record[f"{kind}, beside {decoders} decoders"] = round(1000 * statistics.median(seconds), 3)


def measure_decoding(check: Check, record: dict[str, Any]) -> None:
    """Images a second of decoding alone: by threads and processes, resized by Pillow and torch; by nvJPEG."""
    from clipsim.embedding.decoders import DecoderPool, Preparer
    from clipsim.embedding.pipeline import Pipeline
    from clipsim.images.limits import DecodingRules
    from clipsim.inputs.sources import FileSource

    plain = check.open_encoder(check.sizes.models[0], check.precision).facts.preprocessing
    paths = check.make_links(check.sizes.images)[:4096]
    for backend in ("pillow", "torch"):
        preprocessing = replace(plain, backend=backend)
        for workers in check.sizes.decoders:
            for kind in ("threads", "processes"):
                pool = DecoderPool(workers, preprocessing, DecodingRules()) if kind == "processes" else None
                if pool is not None:
                    pool.start()
                sources = (FileSource(str(path)) for path in paths)
                pipeline = Pipeline(
                    Preparer(preprocessing), sources, rules=DecodingRules(), batch_size=128, workers=workers,
                    decoders=pool,
                )  # fmt: skip
                begun = time.perf_counter()
                count = sum(1 for _ in pipeline)
                record[f"{workers} {kind}, {backend}"] = round(count / (time.perf_counter() - begun), 1)
                if pool is not None:
                    pool.close()
    if not check.on_cuda:
        return
    from torchvision.io import decode_jpeg, read_file

    files = [read_file(str(path)) for path in paths[:256]]
    decode_jpeg(files[:8], device=check.device)
    begun = time.perf_counter()
    decode_jpeg(files, device=check.device)
    synchronize(check)
    record["nvJPEG, without resizing"] = round(len(files) / (time.perf_counter() - begun), 1)


def measure_embed(check: Check, record: dict[str, Any]) -> None:
    """Images a second of `embed` from files to files, as a share of the model alone at the same batch size."""
    from clipsim.embedding.embedder import Embedder
    from clipsim.inputs.sources import FileSource
    from clipsim.options import ModelOptions, RunOptions
    from clipsim.tasks.embed import EmbedRequest, run
    from clipsim.tasks.progress import Progress

    paths = check.make_links(check.sizes.images)
    for architecture in check.sizes.models:
        encoder = check.open_encoder(architecture, check.precision)
        batch = 128 if check.on_cuda else 4
        alone = batch / time_on_device(tower_of(encoder, check, batch)["eager"], check)
        del encoder
        free_memory(check)
        model = ModelOptions(str(check.make_model(architecture)), device=check.device)
        options = RunOptions(cache=False, workers=max(check.sizes.decoders), batch_size=batch)
        begun: list[float] = []

        def note(progress: Progress, begun: list[float] = begun) -> None:
            if progress.stage == "embedding" and not begun:
                begun.append(time.perf_counter())  # the model is loaded

        output = check.folder / f"vectors_{architecture}"
        shutil.rmtree(output, ignore_errors=True)
        with Embedder(model, options, own_process=True) as embedder:
            request = EmbedRequest((FileSource(str(path)) for path in paths), str(output), shard_size=len(paths) // 2)
            result = run(embedder, request, note)
            rate = (result.images or 0) / (time.perf_counter() - begun[0])
            notices = list(embedder.notices)
        record[architecture] = {
            "images/s": round(rate, 1),
            "model alone": round(alone, 1),
            "share": round(rate / alone, 3),
            "passed": not check.on_cuda or architecture not in LARGE or rate / alone >= MIN_SHARE,
            "notices": notices,
        }
        free_memory(check)


def check_faults(check: Check, record: dict[str, Any]) -> None:
    """What goes wrong on a GPU ends in one line, a fallback or a second try; a killed run is completed by the next."""
    paths = check.make_links(max(24, check.sizes.images // 10))
    model = check.make_model(check.sizes.models[0])
    command = [sys.executable, "-m", "clipsim", "embed", str(paths[0].parent), "--model", str(model), "--no-cache"]

    def embed(name: str, *more: str, environment: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
        shutil.rmtree(check.folder / name, ignore_errors=True)
        whole = [*command, "-o", str(check.folder / name), *more]
        return subprocess.run(whole, capture_output=True, text=True, env={**os.environ, **environment})

    whole = embed("whole", "--device", check.device, "--shard-size", str(len(paths) // 4))
    record["whole run"] = {"passed": whole.returncode == 0, "said": whole.stderr[-400:]}
    none = embed("none", environment={"CUDA_VISIBLE_DEVICES": ""})
    record["no visible GPU"] = {"passed": none.returncode == 0, "said": none.stderr[-400:]}
    missing = embed("missing", "--device", "cuda:7")
    one_line = missing.returncode > 0 and len(missing.stderr.strip().splitlines()) == 1
    record["cuda:7"] = {"passed": one_line, "said": missing.stderr[-400:]}

    resumed = check.folder / "resumed"
    shutil.rmtree(resumed, ignore_errors=True)
    arguments = ["-o", str(resumed), "--device", check.device, "--shard-size", str(len(paths) // 4)]
    running = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while running.poll() is None and not list(resumed.glob("img_emb/*.npy")):
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    completed = subprocess.run([*command, *arguments], capture_output=True, text=True)
    worst = float((1 - cosines(read_vectors(resumed), read_vectors(check.folder / "whole"))).max())
    record["killed and completed"] = {"passed": completed.returncode == 0 and worst <= 1e-5, "1 - cos": worst}
    devices = embed("devices", "--devices", f"{check.device},{check.device}", "--shard-size", str(len(paths) // 4))
    worst = float((1 - cosines(read_vectors(check.folder / "devices"), read_vectors(check.folder / "whole"))).max())
    record["two processes"] = {"passed": devices.returncode == 0 and worst <= 1e-5, "1 - cos": worst}
    if check.on_cuda:
        for name in ("memory", "assert"):
            code = f"from benchmarks.gpu_check import break_device; break_device({name!r}, {check.device!r})"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE.parent)
            record[name] = {"passed": done.returncode == 0, "said": (done.stdout + done.stderr)[-800:]}


def break_device(kind: str, device: str) -> None:
    """Encode with a hundredth of the memory, or after a failed assertion on the device, and say what comes of it."""
    import torch

    from clipsim.errors import DeviceLostError

    with tempfile.TemporaryDirectory() as folder:
        encoder = Check(device, FULL, Path(folder)).open_encoder("ViT-B-32")
        pixels = [np.zeros((224, 224, 3), np.uint8)] * 512
        if kind == "memory":
            encoder.encode_images(np.stack(pixels[:1]))
            used = torch.cuda.memory_reserved(device) / torch.cuda.get_device_properties(device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, used + 0.003), device)
            assert np.isfinite(encoder.queue.result(encoder.queue.submit(pixels, len(pixels)))).all()
            print(encoder.facts.notices)
            return
        try:
            torch.zeros(1, device=device)[torch.tensor([5], device=device)].cpu()
        except Exception as error:
            print(f"assertion: {error}")
        try:
            encoder.encode_images(np.stack(pixels[:4]))
        except DeviceLostError as error:
            print(f"{type(error).__name__}: {error}")
            return
        raise AssertionError("a device that had failed encoded")


def tower_of(encoder: Any, check: Check, batch: int) -> dict[str, Callable[[], object]]:
    """What runs the image tower on a batch that is on the device; also by a graph, where there are any."""
    import torch

    height, width = encoder.facts.preprocessing.size
    pixels = torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8, device=check.device)
    encode = partial(encoder._encode_pixels, encoder.towers)

    def eager() -> object:
        with torch.inference_mode():
            return encode(pixels)

    towers: dict[str, Callable[[], object]] = {"eager": eager}
    if check.on_cuda:
        from clipsim.engines.torch.cuda import USES_WORTH_A_GRAPH, GraphedTower

        tower = GraphedTower(encode)

        def graph() -> object:
            with torch.inference_mode():
                return tower(pixels)

        for _ in range(USES_WORTH_A_GRAPH):
            graph()
        towers["graph"] = graph
    return towers


def time_on_device(work: Callable[[], object], check: Check) -> float:
    """Seconds of the device for one piece of work, by its events: of enough pieces to fill the time of a rate."""
    import torch

    work()
    synchronize(check)
    begun = time.perf_counter()
    work()
    synchronize(check)
    count = max(3, int(check.sizes.seconds / (time.perf_counter() - begun)))
    if not check.on_cuda:
        begun = time.perf_counter()
        for _ in range(count):
            work()
        return (time.perf_counter() - begun) / count
    events: list[Any] = [torch.cuda.Event(enable_timing=True) for _ in range(2)]  # type: ignore[no-untyped-call,unused-ignore]
    events[0].record()
    for _ in range(count):
        work()
    events[1].record()
    events[1].synchronize()
    return float(events[0].elapsed_time(events[1])) / 1000 / count


def synchronize(check: Check) -> None:
    """Wait for the device."""
    if check.on_cuda:
        import torch

        torch.cuda.synchronize(check.device)


def free_memory(check: Check) -> None:
    """Give a GPU's memory back."""
    if check.on_cuda:
        import torch

        torch.cuda.empty_cache()


@contextmanager
def decoding_threads(encoder: Any, paths: list[Path], count: int) -> Iterator[None]:
    """Threads that decode and resize all the time."""
    from clipsim.images.decode import load_image

    running = True

    def decode(number: int) -> None:
        while running:
            encoder.prepare_image(load_image(str(paths[number % len(paths)])))

    with ThreadPoolExecutor(max(1, count)) as pool:
        for number in range(count):
            pool.submit(decode, number)
        try:
            yield
        finally:
            running = False


def cosines(one: Any, other: Any) -> Any:
    """Of the rows of two arrays."""
    one, other = (np.asarray(part, np.float64) for part in (one, other))
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def read_vectors(folder: Path) -> Any:
    """Those of all shards of a data set."""
    return np.concatenate([np.load(path) for path in sorted(folder.glob("img_emb/*.npy"))])


PARTS: dict[str, tuple[Part, float]] = {  # with the most seconds that each may take of a deadline of 500
    "facts": (measure_facts, 40),
    "models": (measure_models, 140),
    "embed": (measure_embed, 200),
    "launch": (measure_launch, 60),
    "decoding": (measure_decoding, 60),
    "faults": (check_faults, 120),
    "agreement": (check_agreement, 150),
}


def run_part(name: str, check: Check, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """The record of a part, run by a process of its own."""
    kept = check.folder / f"{name}.json"
    kept.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--part", name, "--device", check.device]
    command += ["--inputs", str(check.folder), *(["--quick"] if options.quick else [])]
    begun = time.perf_counter()
    said = check.folder / f"{name}.err"  # a file, which processes that the part leaves behind do not keep open
    with said.open("w") as file:
        part = subprocess.Popen(
            command, cwd=HERE.parent, stdout=subprocess.DEVNULL, stderr=file, start_new_session=True
        )
    try:
        error = None if part.wait(seconds) == 0 else said.read_text()[-2000:]
    except subprocess.TimeoutExpired:
        os.killpg(part.pid, signal.SIGKILL)  # what it started would spoil the figures of the next part
        part.wait()
        error = f"not done after {seconds:.0f} seconds"
    record: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    return {**record, "seconds": round(time.perf_counter() - begun, 1), **({"error": error} if error else {})}


class KeptRecord(dict[str, Any]):
    """A record that is written to a file at each addition."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def __setitem__(self, key: str, value: Any) -> None:
        """Add a figure."""
        super().__setitem__(key, value)
        self._path.write_text(json.dumps(self))

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]  # Any of dict's __or__
        """Add several."""
        for key, value in other.items():
            self[key] = value
        return self


def failures_of(record: Mapping[str, Any]) -> list[str]:
    """The names in a record, and in the records in it, of what failed."""
    failed = []
    for key, value in record.items():
        if isinstance(value, dict):
            failed += [key] if value.get("passed") is False else [f"{key}: {name}" for name in failures_of(value)]
        elif (key == "error" and value) or (key == "doctor" and not value):
            failed.append(key)
    return failed


def main() -> int:
    """Run the parts, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="small models, few images")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--deadline", type=float, default=500, help="seconds after which no part begins or continues")
    parser.add_argument("--inputs", type=Path, default=HERE / "inputs")
    parser.add_argument("--output", type=Path, default=Path("gpu_check.json"))
    options = parser.parse_args()
    options.inputs.mkdir(parents=True, exist_ok=True)
    check = Check(options.device, QUICK if options.quick else FULL, options.inputs.resolve())
    if options.part:
        PARTS[options.part][0](check, KeptRecord(check.folder / f"{options.part}.json"))
        return 0
    end = time.perf_counter() + options.deadline
    report: dict[str, Any] = {"device": options.device, "quick": options.quick}
    for name in options.parts:
        left = end - time.perf_counter()
        report[name] = (
            run_part(name, check, options, min(left, PARTS[name][1] * options.deadline / 500))
            if left > 5
            else {"error": "no time was left"}
        )
        options.output.write_text(json.dumps(report, indent=1) + "\n")
        failed = failures_of({name: report[name]})
        print(f"{name}: {'; '.join(failed) if failed else 'passed'} ({report[name].get('seconds', 0)} s)", flush=True)
    return 1 if failures_of(report) else 0


if __name__ == "__main__":
    sys.exit(main())
