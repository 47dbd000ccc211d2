"""Models of nnU-Net and MONAI are taken over as data, run without torch as the original would, or refused."""

from __future__ import annotations

import json
import pickle
import sys
import types

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fakes import gray_image, sagittal_grid
from spondyl.app.cli import app
from spondyl.core import InputError, ModelError, Sequence
from spondyl.io.weights import load_network, read_card
from spondyl.models.adopted import look, prepared, scaled, ways_of
from spondyl.training.adopt import adopt
from spondyl.training.adopt_nnunet import ARCHITECTURES, read_nnunet
from spondyl.training.adoption import Adoption

pytest.importorskip("monai")
pytest.importorskip("onnx")

T2 = ((Sequence.T2,),)
SPINE = Adoption("theirs", {"1": "body+cortex", "2": "disc"}, T2, "LPS")


class Plain(torch.nn.Module):
    """Stands for an architecture of nnU-Net."""

    def __init__(self, input_channels, num_classes, deep_supervision, features, conv_op):
        super().__init__()
        self.first = conv_op(input_channels, features, 3, padding=1)
        self.last = conv_op(features, num_classes, 1)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


PLANS = {
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [1, 0, 2],
    "foreground_intensity_properties_per_channel": {
        "0": {"mean": 90.0, "std": 40.0, "percentile_00_5": 1.0, "percentile_99_5": 300.0}
    },
    "configurations": {
        "base": {
            "patch_size": [16, 32, 16],
            "normalization_schemes": ["ZScoreNormalization"],
            "use_mask_for_norm": [False],
            "architecture": {
                "network_class_name": ARCHITECTURES[0],
                "arch_kwargs": {"features": 4, "conv_op": "torch.nn.modules.conv.Conv3d"},
                "_kw_requires_import": ["conv_op"],
            },
        },
        "3d_fullres": {"inherits_from": "base", "spacing": [2.0, 3.0, 2.5]},
    },
}
DATASET = {"channel_names": {"0": "T2"}, "labels": {"background": 0, "vertebra": 1, "disc": 2}}


def _nnunet(folder, *, plans=PLANS, dataset=DATASET, more=None, fold="0"):
    torch.manual_seed(3)
    network = Plain(1, 3, deep_supervision=False, features=4, conv_op=torch.nn.Conv3d)
    (folder / f"fold_{fold}").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    state = {
        "network_weights": network.state_dict(),
        "init_args": {"configuration": "3d_fullres", "plans": plans},
        "logging": {"mean_fg_dice": [np.float64(0.5), np.float32(0.25)]},
        **(more or {}),
    }
    torch.save(state, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return network.eval()


@pytest.fixture
def plain(monkeypatch):
    """Let the stand-in be found where nnU-Net's architectures would be."""

    library = types.ModuleType("unet")
    library.PlainConvUNet = Plain
    monkeypatch.setitem(sys.modules, "dynamic_network_architectures.architectures.unet", library)


@pytest.mark.slow
def test_an_nnunet_answers_as_the_original_on_the_same_input(tmp_path, plain):
    network = _nnunet(tmp_path / "model")
    card = adopt(tmp_path / "model", tmp_path / "out", SPINE)
    ways = ways_of(read_card(card))
    # The file's axes LPS are read as z, y, x; the plans exchange the first two.
    assert (ways.orientation, ways.spacing_mm, ways.patch) == ("PSL", (2.0, 3.0, 2.5), (16, 32, 16))
    assert (ways.classes, ways.sigmoid, ways.scale_first) == (("rest", "body+cortex", "disc"), False, True)
    loaded = load_network(str(card), threads=1)
    patch = np.random.default_rng(0).normal(size=(1, 1, *ways.patch)).astype(np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(loaded.run(patch)[0], network(torch.from_numpy(patch)).numpy(), atol=1e-4)
    image = gray_image(Sequence.T2, sagittal_grid(slices=7))
    grid, p, used = look({Sequence.T2: image}, loaded)
    assert used == (Sequence.T2,)
    assert (grid.orientation, p.shape) == ("LIP", (3, *grid.shape))
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-5)
    volume, _ = prepared([image], ways)
    assert abs(float(volume.mean())) < 0.3  # scaled before it was resampled


def test_what_plans_say_is_read(tmp_path, plain):
    ct = json.loads(json.dumps(PLANS))
    ct["configurations"]["base"]["normalization_schemes"] = ["CTNormalization"]
    ct["image_reader_writer"] = "NibabelIOWithReorient"
    _nnunet(tmp_path / "model", plans=ct, fold="all")
    ways = read_nnunet(tmp_path / "model", Adoption("x", {"*": "body"}, T2)).ways
    assert ways.orientation == "ASR"
    (scaling,) = ways.scalings
    np.testing.assert_allclose(scaled(np.array([0, 130, 999], np.float32), scaling), [-2.225, 1, 5.25])
    regions = {
        **DATASET,
        "labels": {"background": 0, "any": [1, 2, 3], "core": 2, "hot": 3},
        "regions_class_order": [1, 2, 3],
    }
    _nnunet(tmp_path / "regions", dataset=regions)
    meaning = {"1": "lesion", "2": "benign", "3": "malignant"}
    ways = read_nnunet(tmp_path / "regions", Adoption("x", meaning, T2, "LPS")).ways
    assert ways.sigmoid
    assert ways.classes == ("lesion", "benign", "malignant")


class Harm:
    def __reduce__(self):
        return (print, ("code was run",))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "fold_0" / "checkpoint_final.pth").unlink(), "a checkpoint"),
        (lambda f: (f / "dataset.json").unlink(), "dataset.json of the model cannot be read"),
        (lambda f: (f / "fold_0" / "checkpoint_final.pth").write_bytes(pickle.dumps(Harm())), "is not opened"),
        (lambda f: _with(f, "architecture", {"network_class_name": "os.system", "arch_kwargs": {}}), "not among those"),
        (lambda f: _with(f, "patch_size", [32, 32]), "two-dimensional"),
        (lambda f: _with(f, "normalization_schemes", ["Magic"]), "normalization Magic"),
        (lambda f: _with(f, "use_mask_for_norm", [True, False]), "cannot be taken over"),
    ],
)
def test_what_cannot_be_taken_over_is_refused_and_never_run(tmp_path, plain, capsys, change, said):
    _nnunet(tmp_path / "model")
    change(tmp_path / "model")
    with pytest.raises(ModelError, match=said):
        adopt(tmp_path / "model", tmp_path / "out", SPINE)
    assert "code was run" not in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def _with(folder, key, value):
    plans = json.loads((folder / "plans.json").read_text())
    plans["configurations"]["base"][key] = value
    (folder / "plans.json").write_text(json.dumps(plans))


def test_what_the_files_do_not_tell_is_asked_for(tmp_path, plain):
    _nnunet(tmp_path / "model")
    with pytest.raises(InputError, match="say with --orientation"):
        adopt(tmp_path / "model", tmp_path / "out", Adoption("x", {"*": "body"}, T2))
    with pytest.raises(InputError, match="label 2 of the model has no meaning"):
        adopt(tmp_path / "model", tmp_path / "out", Adoption("x", {"1": "body"}, T2, "LPS"))
    with pytest.raises(InputError, match="takes 1 channels, 2 are named"):
        adopt(tmp_path / "model", tmp_path / "out", Adoption("x", {"*": "body"}, (*T2, *T2), "LPS"))
    with pytest.raises(InputError, match="three letters"):
        Adoption("x", {"*": "body"}, T2, "LRS")
    with pytest.raises(InputError, match="labels of lesions mean"):
        Adoption("x", {"1": "malignant", "2": "body"}, T2)
    with pytest.raises(ModelError, match=r"plans\.json and fold_0"):
        adopt(tmp_path, tmp_path / "out", SPINE)


BUNDLE = {
    "network_def": {
        "_target_": "UNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [4, 8],
        "strides": [2],
    },
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": [3.0, 1.5, 1.5], "mode": "bilinear"},
            {"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True},
        ],
    },
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [8, 32, 32], "overlap": 0.5},
}


def _bundle(folder, config=BUNDLE):
    from monai.networks.nets import UNet

    torch.manual_seed(5)
    network = UNet(3, 1, 2, (4, 8), (2,))
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return network.eval()


@pytest.mark.slow
def test_a_bundle_answers_as_the_original_from_the_command_line(tmp_path):
    network = _bundle(tmp_path / "bundle")
    words = ["models", "adopt", tmp_path / "bundle", "--out", tmp_path / "out", "--name", "zoo"]
    result = CliRunner().invoke(app, [*map(str, words), "--meaning", "1=lesion", "--channels", "T1/DIXON_IN"])
    assert result.exit_code == 0, result.output
    card = read_card(tmp_path / "out" / "zoo.toml")
    ways = ways_of(card)
    assert (ways.orientation, ways.spacing_mm, ways.patch) == ("RAS", (3.0, 1.5, 1.5), (8, 32, 32))
    assert ways.channels == ((Sequence.T1, Sequence.DIXON_IN),)
    assert (ways.scalings[0].kind, ways.scalings[0].nonzero, ways.scale_first) == ("zscore", True, False)
    patch = np.random.default_rng(0).normal(size=(1, 1, *ways.patch)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(patch)).numpy()
    np.testing.assert_allclose(
        load_network(str(tmp_path / "out" / "zoo.toml"), threads=1).run(patch)[0], expected, atol=1e-3
    )


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("network_def", "_target_"), "os.system", "must be one of UNet"),
        (("network_def", "norm"), "$print('code was run')", "would run code"),
        (("network_def", "channels"), [4], "does not fit UNet"),
        (("inferer", "roi_size"), "$[1,2,3]", "roi_size"),
        (("preprocessing", "transforms"), [{"_target_": "RandFlipd"}], "RandFlipd is not among"),
        (("preprocessing", "transforms"), [{"_target_": "Spacingd", "pixdim": "$[1]"}], "would run code"),
        (("preprocessing", "transforms"), [], "must tell spacing"),
    ],
)
def test_a_bundle_that_would_run_code_or_is_not_understood_is_refused(tmp_path, capsys, path, value, said):
    config = json.loads(json.dumps(BUNDLE))
    config[path[0]][path[1]] = value
    _bundle(tmp_path / "bundle", config)
    with pytest.raises(ModelError, match=said):
        adopt(tmp_path / "bundle", tmp_path / "out", Adoption("x", {"1": "lesion"}, T2))
    assert "code was run" not in capsys.readouterr().out


def test_nnunets_own_architecture_is_rebuilt(tmp_path):
    unet = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    arguments = {
        "n_stages": 2,
        "features_per_stage": [4, 8],
        "kernel_sizes": [[1, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [1, 2, 2]],
        "n_conv_per_stage": [2, 2],
        "n_conv_per_stage_decoder": [2],
        "conv_bias": True,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin_kwargs": {"inplace": True},
    }
    made = {"conv_op": torch.nn.Conv3d, "norm_op": torch.nn.InstanceNorm3d, "nonlin": torch.nn.LeakyReLU}
    network = unet.PlainConvUNet(1, num_classes=3, deep_supervision=False, **arguments, **made).eval()
    plans = json.loads(json.dumps(PLANS))
    plans["configurations"]["base"]["architecture"] = {
        "network_class_name": ARCHITECTURES[0],
        "arch_kwargs": arguments
        | {
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "nonlin": "torch.nn.LeakyReLU",
            "dropout_op": None,
            "dropout_op_kwargs": None,
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    _nnunet(tmp_path / "model", plans=plans, more={"network_weights": network.state_dict()})
    card = adopt(tmp_path / "model", tmp_path / "out", SPINE)
    patch = np.random.default_rng(0).normal(size=(1, 1, 16, 32, 16)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(patch)).numpy()
    np.testing.assert_allclose(load_network(str(card), threads=1).run(patch)[0], expected, atol=1e-3)
