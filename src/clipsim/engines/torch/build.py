"""A model's files → an OpenCLIP model with its weights, and how its images are prepared."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.convert import convert_state_dict
from open_clip.factory import resize_pos_embed, resize_text_pos_embed
from open_clip.model import convert_to_custom_text_state_dict
from open_clip.timm_model import TimmModel
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torchvision.transforms import Compose, Normalize, ToTensor

from clipsim.engines.preprocessing import Preprocessing, trim_to_aspect_ratio
from clipsim.engines.torch.adapters import merge_adapter
from clipsim.engines.torch.checkpoints import Checkpoint, read_checkpoint
from clipsim.engines.torch.layouts import (
    different_size,
    drop_extras,
    explain_assumption,
    infer_config,
    is_openais,
    is_transformers_layout,
    rename_tensors,
)
from clipsim.errors import ModelError, WeightsError, first_line, install_command, printable
from clipsim.models.catalogue import OPENAI_NAMES
from clipsim.models.files import ModelFiles
from clipsim.models.names import ModelSpec


def prepare_as_transformers(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """RGB image → (height, width, 3) uint8, as the torchvision backend of transformers' CLIPImageProcessor does.

    Its resizing differs from Pillow's by at most a level or two, its crop by at most a pixel.
    """
    # here, because it imports torch's compiler, which takes as long as torch itself: few models are prepared this way
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import pil_to_tensor, resize

    high, wide = preprocessing.size
    mode = InterpolationMode(preprocessing.interpolation)
    if preprocessing.resize_mode == "squash":
        pixels = resize(pil_to_tensor(image), [high, wide], mode, antialias=True)
    else:
        image = trim_to_aspect_ratio(image)
        short, long = sorted(image.size)
        other = int(high * long / short)
        size = [other, high] if image.width <= image.height else [high, other]
        pixels = resize(pil_to_tensor(image), size, mode, antialias=True)
        top, left = (pixels.shape[1] - high) // 2, (pixels.shape[2] - wide) // 2
        pixels = pixels[:, top : top + high, left : left + wide]
    prepared: NDArray[np.uint8] = pixels.permute(1, 2, 0).contiguous().numpy()
    return prepared


@dataclass(frozen=True)
class TransformersResize:
    """A PIL image → the (height, width, 3) uint8 pixels that transformers makes of it, for callers of `load`."""

    preprocessing: Preprocessing

    def __call__(self, image: Image.Image) -> NDArray[np.uint8]:
        """Convert to RGB, resize and crop."""
        return prepare_as_transformers(image.convert("RGB"), self.preprocessing)


class _NoRandomNumbers(TorchFunctionMode):
    """While it is entered, parameters are allocated but not initialised: the weights replace them.

    A configuration that asks for a model far larger than the weights is refused before its memory is touched.
    """

    SPARE_NUMBERS, SPARE_TENSORS = 1 << 28, 5_000

    SKIPPED = frozenset(
        (
            nn.init.normal_, nn.init.uniform_, nn.init.trunc_normal_, nn.init.kaiming_uniform_, nn.init.kaiming_normal_,
            nn.init.xavier_uniform_, nn.init.xavier_normal_,
            Tensor.normal_, Tensor.uniform_, Tensor.erfinv_,
        )
    )  # fmt: skip

    ALLOCATING = frozenset((torch.empty, torch.zeros, torch.ones, torch.full, torch.randn))

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.numbers = self.SPARE_NUMBERS + 4 * sum(tensor.numel() for tensor in tensors.values())
        self.tensors = self.SPARE_TENSORS + 20 * len(tensors)

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Skip random initialisation; make `torch.randn` a plain allocation."""
        kwargs = kwargs or {}
        if func in self.SKIPPED:
            return args[0] if args else kwargs["tensor"]
        if func in self.ALLOCATING:
            self.numbers -= _count_numbers(kwargs.get("size", args[:1] if func is torch.full else args))
            self.tensors -= 1
            if self.numbers < 0 or self.tensors < 0:
                raise ValueError("it would be far larger than the weights")
        if func is torch.randn:
            return torch.empty(*args, **kwargs)
        return func(*args, **kwargs)


def _count_numbers(size: Sequence[Any]) -> int:
    """How many numbers an allocation of this size holds; the size is integers, or one sequence of them."""
    whole = size[0] if len(size) == 1 and isinstance(size[0], Sequence) else size
    return math.prod(int(length) for length in whole)


@dataclass(frozen=True)
class BuiltModel:
    """An OpenCLIP model, its preprocessing, its configuration (`model_cfg`), and notices for the user."""

    model: Any
    preprocessing: Preprocessing
    config: dict[str, Any]
    notices: tuple[str, ...]


def build_model(spec: ModelSpec, files: ModelFiles, *, mapped: bool = True) -> BuiltModel:
    """The model in evaluation mode, fp32 on the CPU, with its weights.

    Raises WeightsError when the weights do not fit, ModelError when the architecture cannot be built here.
    """
    return build_from_checkpoint(spec, files, read_checkpoint(files.weights, key=spec.weights_key, mapped=mapped))


def build_from_checkpoint(spec: ModelSpec, files: ModelFiles, checkpoint: Checkpoint) -> BuiltModel:
    """The model of these files as `build_model`, with weights that were read before."""
    tensors = checkpoint.tensors
    of_transformers = is_transformers_layout(tensors)
    if of_transformers:
        tensors = rename_tensors(tensors)
    own_config = files.settings
    config = _configure(spec, files, tensors) if own_config is None else own_config["model_cfg"]
    notices = [*checkpoint.notices]
    if spec.kind == "weights":
        notices += _compare_with_name(spec, config, of_transformers, own_config is not None)
    try:
        model = _instantiate(config, files, tensors)
    except ImportError as error:
        need = f"{printable(spec.name)}: needs the package transformers"
        raise ModelError(need, hint=install_command("transformers")) from error
    except Exception as error:
        raise ModelError(
            f"{printable(spec.name)}: OpenCLIP cannot build this architecture ({first_line(error, 160)})"
        ) from error
    if spec.kind == "checkpoint" and own_config is None and not is_openais(tensors):
        notices.append(explain_assumption(config))
    if spec.kind in ("checkpoint", "weights"):
        tensors = drop_extras(tensors)
    notices += _fill(model, tensors, files.weights, config)
    if spec.kind == "checkpoint" and own_config is None:
        # OpenAI's code, and OpenCLIP's after it, hold these matrices in fp16 before they make them fp32 on a CPU
        open_clip.convert_weights_to_fp16(model)
        model.float()
    if spec.adapter is not None:
        notices += merge_adapter(model, spec.adapter)
    model.eval()
    try:
        preprocessing = Preprocessing.of(model.visual.image_size, files.preprocess)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"{printable(spec.name)}: its preprocessing settings are not OpenCLIP's ({error})"
        ) from error
    return BuiltModel(model, preprocessing, config, tuple(notices))


def make_transform(preprocessing: Preprocessing) -> Callable[[Image.Image], Tensor]:
    """OpenCLIP's transform of these settings, or transformers' for a model of its, to be called by a program."""
    if preprocessing.backend == "torchvision":
        normalise = Normalize(preprocessing.mean, preprocessing.std)
        composed: Callable[[Image.Image], Tensor] = Compose([TransformersResize(preprocessing), ToTensor(), normalise])
        return composed
    settings = {name: value for name, value in vars(preprocessing).items() if name != "backend"}
    openclips: Callable[[Image.Image], Tensor] = image_transform_v2(PreprocessCfg(**settings), is_train=False)
    return openclips


def _configure(spec: ModelSpec, files: ModelFiles, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """OpenCLIP's `model_cfg` for a model without an open_clip_config.json."""
    if spec.kind == "checkpoint":
        return infer_config(drop_extras(tensors), files.weights)
    config: dict[str, Any] = open_clip.get_model_config(spec.architecture)
    if spec.pretrained is not None:
        tag = open_clip.get_pretrained_cfg(spec.architecture, spec.pretrained)
        # the weights decide the activation: OpenAI's were trained with QuickGELU, whatever the configuration says
        config["quick_gelu"] = tag.get("quick_gelu", False) or config.get("quick_gelu", False)
    elif spec.named_by_openai or is_openais(tensors):
        config["quick_gelu"] = True
    return config


def _compare_with_name(spec: ModelSpec, config: dict[str, Any], of_transformers: bool, has_config: bool) -> list[str]:
    """Notices of what the weights, or their folder, say of themselves that the name of the architecture does not.

    Raises WeightsError where they are of another architecture.
    """
    named: dict[str, Any] = open_clip.get_model_config(spec.architecture)
    shown, architecture = printable(str(spec.path)), printable(spec.reported_name)
    says = "the checkpoint says that its activation is"
    if has_config and (differing := different_size(named, config)):
        raise WeightsError(
            f"{shown}: what the file, or the configuration beside it, says of the model ({differing}) is not "
            f"{architecture}; give the file, or its folder, as the model"
        )
    activation, other = ("QuickGELU" if part.get("quick_gelu", False) else "GELU" for part in (config, named))
    if activation != other and not spec.named_by_openai:
        return [f"{says} {activation}, so that is used, and not {architecture}'s {other}"]
    if activation != "QuickGELU" and spec.named_by_openai:
        return [f"{says} {activation}, so that is used, and not OpenAI's QuickGELU"]
    if spec.architecture in OPENAI_NAMES and activation == "GELU" and not has_config:
        return [
            f"the checkpoint is taken for a model of OpenCLIP's {architecture}, whose activation is GELU; OpenAI's is "
            f"{architecture}-quickgelu"
        ]
    if of_transformers and not has_config:
        return [
            "the checkpoint is in the layout of 'transformers', without its config.json, so the activation is "
            f"{architecture}'s {activation}; a model that was OpenAI's has QuickGELU"
        ]
    return []


def _instantiate(config: dict[str, Any], files: ModelFiles, tensors: Mapping[str, Tensor]) -> Any:
    """An OpenCLIP model whose parameters are not initialised."""
    arguments = copy.deepcopy(config)
    text, vision = arguments["text_cfg"], arguments["vision_cfg"]
    custom = arguments.pop("custom_text", False) or "hf_model_name" in text
    if files.text_model is not None:
        text["hf_model_name"] = str(files.text_model)  # its configuration only; never a download
    if "hf_model_name" in text:
        text["hf_model_pretrained"] = False
    if "timm_model_name" in vision:
        vision["timm_model_pretrained"] = False
    kind = (open_clip.CoCa if "multimodal_cfg" in arguments else open_clip.CustomTextCLIP) if custom else open_clip.CLIP
    sizes = vision.pop("timm_model_args", None)
    with _NoRandomNumbers(tensors):
        if sizes is None:
            return kind(**arguments)
        # OpenCLIP passes no sizes to timm: its tower is made here, and takes the place of a small one
        small = {"layers": 1, "width": 64, "image_size": 16, "patch_size": 16}
        model = kind(**arguments | {"vision_cfg": small})
        if sizes["depth"] > len(tensors):  # timm makes a list of that length before it allocates anything
            raise ValueError("it would be far larger than the weights")
        model.visual = _timm_tower(vision, sizes)
        return model


_TOWER_SIZES = ("img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "act_layer")


def _timm_tower(vision: Mapping[str, Any], sizes: Mapping[str, Any]) -> TimmModel:
    """OpenCLIP's wrapper around a model of timm's with sizes of its own, whose pooled vector is the image's."""
    import timm  # optional for OpenCLIP, and slow to import

    tower = TimmModel.__new__(TimmModel)
    nn.Module.__init__(tower)
    tower.image_size = (vision["image_size"], vision["image_size"])
    chosen = {name: sizes[name] for name in _TOWER_SIZES}  # nothing else: a configuration may come from anywhere
    tower.trunk = timm.create_model(
        vision["timm_model_name"], pretrained=False, num_classes=0, global_pool=vision["timm_pool"], **chosen
    )
    tower.head = nn.Sequential()
    return tower


def _fill(model: Any, tensors: dict[str, Tensor], path: Path, config: dict[str, Any]) -> list[str]:
    """Load the tensors, all of them, in any of the layouts that versions of OpenCLIP have written.

    Returns a notice for each that had to be made: positions that are interpolated, as OpenCLIP does, and a bias of 0.
    """
    shown = printable(str(path))
    notices = []
    try:
        tensors = convert_state_dict(model, dict(tensors))
        if "positional_embedding" in tensors and not hasattr(model, "positional_embedding"):
            tensors = convert_to_custom_text_state_dict(tensors)
        for name in ("logit_scale", "logit_bias"):
            parameter = getattr(model, name, None)
            if name in tensors and parameter is not None:
                tensors[name] = tensors[name].reshape(parameter.shape)
        tensors.pop("text.transformer.embeddings.position_ids", None)  # older transformers wrote it
        for kind, resize in (("patches of images", resize_pos_embed), ("tokens of texts", resize_text_pos_embed)):
            before = dict(tensors)
            resize(tensors, model)
            for name in before:
                old, new = before[name].shape, tensors[name].shape
                if old != new:
                    notices.append(
                        f"the checkpoint has position embeddings for {old[-2]:,} {kind} and the model for {new[-2]:,}: "
                        "they are interpolated"
                    )
    except Exception as error:
        raise WeightsError(
            f"{shown}: the weights are not of this architecture ({printable(str(error), 120)})"
        ) from error
    expected = model.state_dict()
    if "logit_bias" in expected and "logit_bias" not in tensors:  # as OpenCLIP does for weights of a softmax model
        tensors["logit_bias"] = torch.zeros_like(expected["logit_bias"])
        notices.append("the checkpoint has no logit_bias, which is taken for 0: its probabilities may mean nothing")
    missing = [name for name in expected if name not in tensors and not name.endswith("num_batches_tracked")]
    extra = [name for name in tensors if name not in expected]
    wrong = [name for name in expected if name in tensors and tensors[name].shape != expected[name].shape]
    coded = [  # quantised ones, say, whose numbers stand for others
        name for name in expected
        if name in tensors and tensors[name].is_floating_point() != expected[name].is_floating_point()
        and not name.endswith("num_batches_tracked")  # a number that no vector depends on
    ]  # fmt: skip
    kinds = (
        (missing, "missing"),
        (extra, "unknown"),
        (wrong, "of another shape"),
        (coded, "of another kind of number"),
    )
    for names, what in kinds:
        if names:
            example = printable(names[0], 60)
            raise WeightsError(
                f"{shown}: the weights are not of this architecture (embed_dim {config['embed_dim']}): "
                f"{len(names)} tensors are {what}, {example} for one"
            )
    tensors = {name: tensor.to(expected[name].dtype) for name, tensor in tensors.items()}
    model.load_state_dict(tensors, strict=False, assign=True)
    return notices
