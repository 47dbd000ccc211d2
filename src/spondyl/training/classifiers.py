"""Networks that name the class of a vertebra or lesion from its crop: ResNet, DenseNet, and a context transformer.

All three answer with one logit for each subtype. The first two look at one crop with every sequence; the transformer
looks at what is measured of every crop of every sequence of a study at once, for neighbors tell what one vertebra alone
does not: that there are several lesions, that all marrow is alike, or that the other endplate of a disc is changed too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from monai.networks.nets import DenseNet, ResNet
from torch import nn
from torch.nn import functional

from spondyl.models.crops import CROP_CHANNELS, CROP_FACTS, TOKEN_FACTS
from spondyl.models.study_inputs import SHAPE_CHANNELS, Slot
from spondyl.training.measures import TokenMeasures, n_measures

if TYPE_CHECKING:
    from collections.abc import Mapping

FARTHEST = 8
"""Neighbors farther apart along the column than this many vertebrae are all equally far."""

MASK_FLOOR = 0.05
"""Least weight of places outside the mask, so that what lies around a lesion counts too."""

MOST_SD, BLUR = 6.0, 0.1
"""Standard deviations beyond which a measure counts no further, and those that are added at random in training."""

MEASURED_NDIM = 3
"""Dimensions of measures in the place of crops: measuring takes longer than learning, and is done once."""

NEVER = -1e4
"""Attention logit of what a token does not see: other studies, and other sites that are lesions."""


@dataclass(frozen=True)
class Width:
    """Size of a classifier.

    Parameters
    ----------
    resnet : tuple of int
        Channels of the four stages.
    densenet : tuple of int
        First channels, growth, and layers of each of the two blocks.
    token, heads, layers : int
        Width of a token, attention heads and layers of the transformer.
    """

    resnet: tuple[int, int, int, int] = (16, 32, 48, 64)
    densenet: tuple[int, int, int, int] = (16, 12, 4, 6)
    token: int = 96
    heads: int = 4
    layers: int = 2


class MaskedPool(nn.Module):
    """Average the places that matter, chosen by learnt attention inside and around the mask.

    The answer is a weighted mean over places of a linear map, so the share of each place in it is known exactly.

    Parameters
    ----------
    channels : int
        Features at each place.

    References
    ----------
    Ilse et al. 2018, Attention-based deep multiple instance learning, arXiv 1802.04712, section 2.4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = nn.Conv3d(channels, 1, 1)

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Give the weight of each place.

        Parameters
        ----------
        features : Tensor, shape (n, channels, i, j, k)
            What is seen at each place.
        mask : Tensor, shape (n, 1, ...)
            The mask of the crop, at any resolution.

        Returns
        -------
        Tensor, shape (n, 1, i, j, k)
            Sums to 1 over places.
        """
        # Whole numbers, and not a pooling that adapts, so that the graph can be written down.
        sizes = [(int(n), int(m)) for n, m in zip(mask.shape[2:], features.shape[2:], strict=True)]
        kernel = [n - (m - 1) * (n // m) for n, m in sizes]
        covered = functional.avg_pool3d(mask, kernel, [n // m for n, m in sizes])
        logits = self.attention(features) + (covered + MASK_FLOOR).log()
        return logits.flatten(2).softmax(-1).reshape(logits.shape)


class CropClassifier(nn.Module):
    """A convolutional network on one crop, with class activation in the graph.

    Parameters
    ----------
    groups : sequence of int
        Class of each subtype, as in `spondyl.training.vertebrae.CLASSES`.
    features : int
        Channels in front of the last layer.
    first : int
        Channels behind the first convolution.
    """

    groups: torch.Tensor

    def __init__(self, groups: tuple[int, ...], features: int, first: int) -> None:
        super().__init__()
        self.register_buffer("groups", torch.tensor(groups), persistent=False)
        self.facts = nn.Linear(CROP_FACTS, first)
        self.pool = MaskedPool(features)
        self.out = nn.Conv3d(features, len(groups), 1)

    def encode(self, crops: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """Give the features of crops; networks differ in this alone.

        Parameters
        ----------
        crops : Tensor, shape (n, CROP_CHANNELS, i, j, k)
            The crops.
        shift : Tensor, shape (n, first, 1, 1, 1)
            Added behind the first convolution: what is known of the study as a whole.

        Returns
        -------
        Tensor, shape (n, features, ...)
            Features at each place, not negative.
        """
        raise NotImplementedError

    def forward(self, crops: torch.Tensor, facts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute logits and the evidence for malignancy at each place.

        Parameters
        ----------
        crops : Tensor, shape (n, CROP_CHANNELS, i, j, k)
            The crops.
        facts : Tensor, shape (n, CROP_FACTS)
            Facts of the study, and whether a lesion is meant.

        Returns
        -------
        logits : Tensor, shape (n, n_subtypes)
            For each subtype.
        activation : Tensor, shape (n, i, j, k)
            What each place adds to the mean logit of malignant subtypes over that of the others, each weighted by its
            probability; the sum over places is that difference.

        References
        ----------
        Zhou et al. 2016, Learning deep features for discriminative localization, CVPR (arXiv 1512.04150).
        """
        x = self.encode(crops, self.facts(facts)[:, :, None, None, None])
        weight = self.pool(x, crops[:, -1:])
        maps = self.out(x) * weight
        logits = maps.sum((2, 3, 4))
        return logits, activation(maps, logits, self.groups)


def activation(maps: torch.Tensor, logits: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Weigh class maps into the evidence for malignancy.

    Parameters
    ----------
    maps : Tensor, shape (n, n_subtypes, i, j, k)
        Part of each place in each logit.
    logits : Tensor, shape (n, n_subtypes)
        Their sums.
    groups : Tensor of int, shape (n_subtypes,)
        Class of each subtype; the highest is malignant.

    Returns
    -------
    Tensor, shape (n, i, j, k)
        Positive where a place speaks for malignancy.
    """
    malignant = (groups == groups.max()).to(logits.dtype)
    against = (logits + NEVER * malignant).softmax(1)
    toward = (logits + NEVER * (1 - malignant)).softmax(1)
    return (maps * (toward - against)[:, :, None, None, None]).sum(1)


class CropResNet(CropClassifier):
    """A small 3D ResNet (He 2016, arXiv 1512.03385), MONAI's own, that keeps its resolution from the third stage on.

    Parameters
    ----------
    groups : tuple of int
        Class of each subtype.
    width : Width, optional
        Size.
    """

    def __init__(self, groups: tuple[int, ...], width: Width = Width()) -> None:
        super().__init__(groups, width.resnet[-1], width.resnet[0])
        self.body = ResNet(
            "basic",
            [1, 1, 1, 1],
            list(width.resnet),
            n_input_channels=CROP_CHANNELS,
            conv1_t_size=(3, 3, 3),  # type: ignore[arg-type]
            conv1_t_stride=(2, 2, 2),  # type: ignore[arg-type]
            no_max_pool=True,
            feed_forward=False,
        )
        set_stride(self.body.layer2, (1, 2, 2))
        for stage in (self.body.layer3, self.body.layer4):
            set_stride(stage, (1, 1, 1))

    def encode(self, crops: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """Give the features of crops.

        Parameters
        ----------
        crops : Tensor, shape (n, CROP_CHANNELS, i, j, k)
            The crops.
        shift : Tensor, shape (n, first, 1, 1, 1)
            Added behind the first convolution.

        Returns
        -------
        Tensor, shape (n, features, i / 2, j / 4, k / 4)
            Features at each place.
        """
        body = self.body
        x = body.act(body.bn1(body.conv1(crops) + shift))
        return body.layer4(body.layer3(body.layer2(body.layer1(x))))


class CropDenseNet(CropClassifier):
    """A small 3D DenseNet (Huang 2017, arXiv 1608.06993), MONAI's own with a first layer that fits small crops.

    Parameters
    ----------
    groups : tuple of int
        Class of each subtype.
    width : Width, optional
        Size.
    """

    def __init__(self, groups: tuple[int, ...], width: Width = Width()) -> None:
        first, growth, *layers = width.densenet
        body: Any = DenseNet(
            3, CROP_CHANNELS, 1, init_features=first, growth_rate=growth, block_config=tuple(layers), bn_size=2
        ).features
        n_features = body.norm5.num_features
        super().__init__(groups, n_features, first)
        body.conv0 = nn.Conv3d(CROP_CHANNELS, first, 3, stride=2, padding=1, bias=False)
        body.pool0 = nn.Identity()
        body.transition1.pool = nn.AvgPool3d((1, 2, 2))
        self.body = body

    def encode(self, crops: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """Give the features of crops.

        Parameters
        ----------
        crops : Tensor, shape (n, CROP_CHANNELS, i, j, k)
            The crops.
        shift : Tensor, shape (n, first, 1, 1, 1)
            Added behind the first convolution.

        Returns
        -------
        Tensor, shape (n, features, i / 2, j / 4, k / 4)
            Features at each place.
        """
        first, *others = self.body
        x = first(crops) + shift
        for layer in others:
            x = layer(x)
        return functional.relu(x)


def set_stride(stage: nn.Module, stride: tuple[int, int, int]) -> None:
    """Give the strides of a stage another size, so that class activation shows where and not only whether.

    Parameters
    ----------
    stage : Module
        Changed in place; its weights still fit.
    stride : tuple of int
        Instead of every stride above 1.
    """
    for layer in stage.modules():
        if isinstance(layer, nn.Conv3d) and max(layer.stride) > 1:
            layer.stride = stride


class TokenEncoder(nn.Module):
    """Turn what is measured of the crop of one sequence into one token.

    Parameters
    ----------
    token : int
        Width of a token.
    """

    def __init__(self, token: int) -> None:
        super().__init__()
        n = n_measures(len(SHAPE_CHANNELS))
        self.measures, self.scale = TokenMeasures(), nn.BatchNorm1d(n, affine=False)
        self.out = nn.Sequential(nn.Linear(n, token), nn.GELU(), nn.Linear(token, token))

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Encode crops.

        Parameters
        ----------
        crops : Tensor, shape (n, TOKEN_CHANNELS, i, j, k), or (n, 1, n_measures)
            The crops, or what was measured of them before.

        Returns
        -------
        Tensor, shape (n, token)
            One token each.
        """
        measures = crops[:, 0] if crops.ndim == MEASURED_NDIM else self.measures(crops)
        x = self.scale(measures).clamp(-MOST_SD, MOST_SD)
        return self.out(x + BLUR * torch.randn_like(x) if self.training else x)


class ContextLayer(nn.Module):
    """Attention between the tokens of a study, aware of how far apart they lie along the column.

    Parameters
    ----------
    token, heads : int
        Width of a token and number of heads.

    References
    ----------
    Vaswani et al. 2017, arXiv 1706.03762; relative positions as a bias: Raffel et al. 2020, arXiv 1910.10683.
    """

    def __init__(self, token: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(token), nn.LayerNorm(token)
        self.query_key_value = nn.Linear(token, 3 * token)
        self.distance = nn.Embedding(2 * FARTHEST + 1, heads)
        self.same_slot, self.same_site = nn.Parameter(torch.zeros(heads)), nn.Parameter(torch.ones(heads))
        self.join = nn.Linear(token, token)
        self.feed = nn.Sequential(nn.Linear(token, 2 * token), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * token, token))
        nn.init.zeros_(self.distance.weight)

    def forward(
        self, x: torch.Tensor, distance: torch.Tensor, same: tuple[torch.Tensor, torch.Tensor], apart: torch.Tensor
    ) -> torch.Tensor:
        """Let tokens look at each other.

        Parameters
        ----------
        x : Tensor, shape (n, token)
            The tokens.
        distance : Tensor of int64, shape (n, n)
            From 0 to twice `FARTHEST`.
        same : tuple of Tensor, each of shape (n, n)
            1 where two tokens show the same kind of sequence; the same vertebra or lesion.
        apart : Tensor, shape (n, n)
            `NEVER` or less where the first does not see the second.

        Returns
        -------
        Tensor, shape (n, token)
            The tokens, knowing of each other.
        """
        n, width = x.shape
        q, k, v = self.query_key_value(self.before(x)).reshape(n, 3, self.heads, -1).permute(1, 2, 0, 3)
        alike = same[0] * self.same_slot[:, None, None] + same[1] * self.same_site[:, None, None]
        bias = self.distance(distance).permute(2, 0, 1) + alike + apart
        attention = (q @ k.transpose(1, 2) / (width / self.heads) ** 0.5 + bias).softmax(-1)
        x = x + self.join((attention @ v).transpose(0, 1).reshape(n, width))
        return x + self.feed(self.between(x))


class ContextTransformer(nn.Module):
    """Name the class of every vertebra and lesion of a study from its vertebrae, on all sequences.

    Tokens of several studies may be given at once; they do not see each other. Nothing sees another site that is a
    lesion: that something was outlined there, rightly while learning, would tell what the images should.

    Parameters
    ----------
    groups : tuple of int
        Class of each subtype.
    width : Width, optional
        Size.
    """

    def __init__(self, groups: tuple[int, ...], width: Width = Width()) -> None:
        super().__init__()
        self.encoder = TokenEncoder(width.token)
        self.slot = nn.Embedding(len(Slot), width.token)
        self.facts = nn.Linear(TOKEN_FACTS, width.token)
        self.layers = nn.ModuleList(ContextLayer(width.token, width.heads) for _ in range(width.layers))
        self.norm = nn.LayerNorm(2 * width.token)
        self.out = nn.Linear(2 * width.token, len(groups))

    def forward(
        self,
        crops: torch.Tensor,
        facts: torch.Tensor,
        slot: torch.Tensor,
        position: torch.Tensor,
        site: torch.Tensor,
        study: torch.Tensor,
    ) -> torch.Tensor:
        """Compute logits.

        Parameters
        ----------
        crops : Tensor, shape (n, TOKEN_CHANNELS, i, j, k), or (n, 1, n_measures)
            One crop for each site and sequence, or what was measured of it before.
        facts : Tensor, shape (n, TOKEN_FACTS)
            Facts of its sequence, and whether a lesion is meant.
        slot : Tensor of int64, shape (n,)
            Which sequence it shows.
        position : Tensor of float, shape (n,)
            Place along the column, in vertebrae.
        site, study : Tensor of int64, shape (n,)
            Which vertebra or lesion, unique among all studies given; which study.

        Returns
        -------
        Tensor, shape (n, n_subtypes)
            Logits of the site of each token; the same for all tokens of a site.
        """
        x = self.encoder(crops) + self.slot(slot) + self.facts(facts)
        own = x
        gap = (position[:, None] - position[None]).round().clamp(-FARTHEST, FARTHEST).long() + FARTHEST
        same_slot, same_site = ((y[:, None] == y[None]).to(x.dtype) for y in (slot, site))
        other, lesion = 1 - same_site, facts[None, :, -1]
        apart = ((study[:, None] != study[None]).to(x.dtype) + other * lesion) * NEVER
        for layer in self.layers:
            x = layer(x, gap, (same_slot, same_site), apart)
        mean = same_site / same_site.sum(1, keepdim=True)
        return self.out(self.norm(mean @ torch.cat([own, x], 1)))


def load_matching(network: nn.Module, state: Mapping[str, torch.Tensor]) -> list[str]:
    """Copy those weights of another network that have the same name and shape.

    Parameters
    ----------
    network : Module
        Changed in place.
    state : mapping of str to Tensor
        Weights of a network of the same family, such as a MONAI or MedicalNet ResNet; a leading ``module.`` is ignored.

    Returns
    -------
    list of str
        Names of the weights that were copied.
    """
    own = network.state_dict()
    given = {name.removeprefix("module."): value for name, value in state.items()}
    fitting = {n: v for n, v in given.items() if n in own and own[n].shape == v.shape}
    network.load_state_dict(fitting, strict=False)
    return sorted(fitting)
