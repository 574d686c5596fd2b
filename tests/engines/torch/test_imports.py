"""Tests of `engines.torch.imports`: what a fast import leaves behind, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from clipsim.engines.torch.imports import KNOWN_TORCH
from clipsim.models.identity import package_version

# Every module, and what it holds, after a fast import: a stand-in must not be among them.
NO_STAND_INS = """
import sys
from clipsim.engines.torch.imports import _StandIn, import_open_clip
import_open_clip(timm=False, transformers=False, compiler=False)
assert "open_clip" in sys.modules
assert not {"timm", "transformers", "huggingface_hub", "torch._dynamo"} & set(sys.modules)
for name, module in list(sys.modules.items()):
    assert _StandIn not in {type(module), *map(type, vars(module).values())}, name

import torch, torchvision
boxes = torchvision.ops.roi_align(torch.rand(1, 3, 9, 9), [torch.tensor([[0.0, 0, 4, 4]])], 2)
assert boxes.shape == (1, 3, 2, 2)

# A second model of the process may need what the first import left out.
import_open_clip(timm=False, transformers=False, compiler=False)
try:
    import_open_clip(timm=True, transformers=False, compiler=False)
except RuntimeError as error:
    assert str(error).endswith("single model without timm")
else:
    raise SystemExit("not refused")
"""

# What is postponed is executed when it is read, a package before its modules; and all of the compiler's before it.
POSTPONED = """
import sys
from types import ModuleType
from clipsim.engines.torch.imports import KNOWN_TORCH, _UnexecutedModule, import_open_clip
import_open_clip(timm=False, transformers=False, compiler=False)
import torch, torchvision
names = ["torchvision", "torchvision.ops"]
assert not {"torchvision.models", "torchvision.extension"} & set(sys.modules)
if torch.__version__.startswith(KNOWN_TORCH):
    names += ["torch._meta_registrations", "torch.distributed._meta_registrations", "torch._prims"]
    assert "torch._decomp" not in sys.modules
assert [type(sys.modules[name]) for name in names] == [_UnexecutedModule] * len(names)
assert torch.rand(3, generator=torch.Generator().manual_seed(0)).sum() > 0
READ
assert torchvision.ops.nms.__module__ == "torchvision.ops.boxes"
assert [type(sys.modules[name]) for name in names] == [ModuleType] * len(names)
assert torchvision.models.resnet18 and torchvision.__version__
assert torch.ones(3, device="meta").flip(0).shape == (3,)
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)).sum() == 4
"""

# What torchvision captured from a stand-in calls the real function.
CAPTURED = """
import sys
from clipsim.engines.torch.imports import _StandIn, import_open_clip
import_open_clip(timm=True, transformers=False, compiler=False)
assert "torch._dynamo" not in sys.modules
captured = sys.modules["torchvision.ops.roi_align"].is_compile_supported
assert captured("cpu") in (True, False)
import torch._dynamo.utils as real
assert not isinstance(real, _StandIn)
assert captured("cpu") == real.is_compile_supported("cpu")
"""

# A library that asks for another name, also while open_clip is being imported, gets the real one.
OTHER_NAMES = """
import sys, torch
from clipsim.engines.torch import imports
with imports._compiler_deferred():
    import torch._dynamo
    stand_in = sys.modules["torch._dynamo"]
    assert isinstance(stand_in, imports._StandIn)
    import torch._dynamo.utils as utils
    assert isinstance(utils.counters, dict)
    assert sys.modules["torch._dynamo"] is not stand_in
    assert utils.counters is sys.modules["torch._dynamo.utils"].counters
    assert stand_in.config is sys.modules["torch._dynamo.config"]
import torch._dynamo.utils as later
assert later.counters is utils.counters and not isinstance(later, imports._StandIn)
"""

# Nothing is imported before its time for a model that needs both; for one with a tower of timm's, transformers and the
# compiler are left out, until something else imports them.
PARTS = """
import sys
from clipsim.engines.torch.imports import _StandIn, import_open_clip
import_open_clip(timm=True, transformers=True, compiler=True)
assert not {"torch", "open_clip", "timm"} & set(sys.modules)
import_open_clip(timm=True, transformers=False, compiler=False)
assert not {"transformers", "torch._dynamo"} & set(sys.modules)
for name, module in list(sys.modules.items()):
    assert _StandIn not in {type(module), *map(type, vars(module).values())}, name
from open_clip.timm_model import timm
assert timm.create_model("test_vit", pretrained=False) is not None
import_open_clip(timm=True, transformers=False, compiler=False)
try:
    import_open_clip(timm=False, transformers=True, compiler=False)
except RuntimeError as error:
    assert str(error).endswith("without transformers")
else:
    raise SystemExit("not refused")
import transformers
assert transformers.__version__
"""

# A torchvision that needs more of the compiler than a stand-in has: nothing is left in the way of the usual import.
FAILED = """
import importlib.abc, sys, torch
from clipsim.engines.torch.imports import _StandIn, _UnexecutedModule, import_open_clip
class Needy(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torchvision.ops.misc" and "torch._dynamo" in sys.modules:
            import torch._dynamo.eval_frame
sys.meta_path.insert(0, Needy())
import_open_clip(timm=False, transformers=False, compiler=False)
assert not [name for name in sys.modules if name.startswith(("open_clip", "timm", "transformers"))]
assert not {_StandIn, _UnexecutedModule} & set(map(type, sys.modules.values()))
"""


@pytest.mark.parametrize(
    "code",
    [
        NO_STAND_INS,
        POSTPONED.replace("READ", ""),
        POSTPONED.replace("READ", "import torchvision.transforms.v2"),
        POSTPONED.replace("READ", "import torch._dynamo"),
        CAPTURED,
        OTHER_NAMES,
        PARTS,
        FAILED,
    ],
    ids=["no stand-ins", "package", "transforms", "compiler", "captured", "other names", "parts", "failed"],
)
def test_a_fast_import_is_safe(code: str) -> None:
    """The assertions are in the code that runs; none of it writes anything."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_installed_torch_is_known() -> None:
    """A version that is not in the list is imported whole, which is right and slower: skipped, with the reason."""
    version = package_version("torch") or ""
    if ".".join(version.split(".")[:2]) not in KNOWN_TORCH:
        pytest.skip(f"torch {version} is imported whole: add it to KNOWN_TORCH after a look at what it executes")
