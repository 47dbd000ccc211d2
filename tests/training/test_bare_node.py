"""A bare compute node has numpy, SciPy, torch and MONAI; phantom and training run there from a source tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("monai")

SOURCE = Path(__file__).parents[2] / "src"

MISSING = [
    "SimpleITK", "anndata", "array_api_compat", "cc3d", "edt", "highdicom", "jinja2", "lifelines", "lightning_fabric",
    "matplotlib", "nibabel", "onnx", "openvino", "pandas", "pydantic", "pydantic_settings", "pydicom", "rich",
    "safetensors", "sklearn", "tensorboard", "tomli_w", "torch.utils.tensorboard", "typer",
]  # fmt: skip
"""What an installation has and a bare node has not."""

WHOLE = ("__main__", "levels", "level_studies", "ribs", "biology")
"""Parts that run, measure the outlines of localize, or give tables of omics, and so need the whole installation."""

PROGRAM = """
import importlib, json, pkgutil, sys
from pathlib import Path
for name in {missing}:
    sys.modules[name] = None
sys.path.insert(0, {source!r})
import torch
torch.set_num_threads(1)
import spondyl.phantom, spondyl.training
for package in (spondyl.phantom, spondyl.training):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if module.name.split(".")[-1] not in {whole}:
            importlib.import_module(module.name)

import numpy as np
from spondyl.phantom.anatomy import build_anatomy
from spondyl.training.anatomies import SPACING_MM, pack, truth_of
from spondyl.training.networks import SpineUNet
from spondyl.training.segmentation import TrainingSettings, train

folder = Path({folder!r})
(folder / "anatomies").mkdir()
small = build_anatomy(2_000_004, spacing_mm=SPACING_MM, extent_mm=(60.0, 100.0, 120.0))
np.save(folder / "anatomies" / "2000004.npy", pack(small))
(folder / "anatomies" / "2000004.json").write_text(json.dumps(truth_of(small)))
settings = TrainingSettings(steps=1, batch_size=1, workers=0)
train(folder / "anatomies", folder / "run", settings, SpineUNet(channels=(8, 8, 12, 12, 16), head=4))
print(sorted(p.name for p in (folder / "run").iterdir()))
"""


@pytest.mark.slow
def test_phantom_and_training_run_on_a_bare_node(tmp_path):
    program = PROGRAM.format(missing=MISSING, whole=WHOLE, source=str(SOURCE), folder=str(tmp_path))
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "['checkpoint.pt', 'progress.jsonl', 'settings.toml']"
