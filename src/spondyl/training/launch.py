"""What runs a training: Lightning Fabric, or torch alone on one device where Fabric is not installed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spondyl.core import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch.utils.data import DataLoader

_AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16}
"""Precisions that need no help of Fabric: mixed bfloat16 has the range of single precision, so no loss is scaled."""


def launcher(*, devices: str, nodes: int, precision: str) -> Any:
    """Give what runs a training on this machine.

    Parameters
    ----------
    devices : str
        Devices on each node, as Lightning Fabric names them.
    nodes : int
        Machines that train together.
    precision : str
        As Lightning Fabric names it.

    Returns
    -------
    Fabric or SingleDevice
        Both know the methods that `spondyl.training.loop` calls.

    Raises
    ------
    SettingsError
        If Fabric is wanted and missing.
    """
    try:
        from lightning_fabric import Fabric
    except ImportError:
        if nodes > 1 or devices not in ("auto", "1") or precision not in _AUTOCAST:
            msg = (
                f"without Lightning Fabric one device and precision {' or '.join(_AUTOCAST)} are possible, got "
                f"{devices} devices on {nodes} nodes in {precision}; install the extra `train`"
            )
            raise SettingsError(msg) from None
        return SingleDevice(precision)
    return Fabric(accelerator="auto", devices=devices, num_nodes=nodes, precision=precision)  # type: ignore[arg-type]


def is_main_process() -> bool:
    """Say whether this process writes what all of them made.

    Returns
    -------
    bool
        True for one of the processes that train together.
    """
    group = torch.distributed
    return not (group.is_available() and group.is_initialized()) or group.get_rank() == 0


class SingleDevice:
    """The part of Lightning Fabric that one device needs; checkpoints are the same.

    Parameters
    ----------
    precision : str
        ``"32-true"`` or ``"bf16-mixed"``.
    """

    is_global_zero = True
    global_rank = 0
    world_size = 1

    def __init__(self, precision: str) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._type = _AUTOCAST[precision]

    def launch(self) -> None:
        """Do nothing: the one process runs already."""

    def barrier(self) -> None:
        """Do nothing: there is nobody to wait for."""

    def seed_everything(self, seed: int, *, verbose: bool = False) -> None:  # noqa: ARG002
        """Seed everything random.

        Parameters
        ----------
        seed : int
            The seed.
        verbose : bool, optional
            Not used.
        """
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)

    def setup(
        self, network: torch.nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        """Move a network to the device and let it run in the precision asked for.

        Parameters
        ----------
        network : Module
            The network.
        optimizer : Optimizer
            Of its parameters.

        Returns
        -------
        network : Module
            The same, on the device.
        optimizer : Optimizer
            The same.
        """
        network.to(self.device)
        if self._type is not None:
            run = torch.autocast(self.device.type, self._type)(network.forward)
            network.forward = lambda *batch: run(*batch).float()  # type: ignore[method-assign]
        return network, optimizer

    def setup_dataloaders(self, loader: DataLoader) -> Any:
        """Let a loader's batches come on the device.

        Parameters
        ----------
        loader : DataLoader
            Gives tuples of tensors.

        Returns
        -------
        iterable
            Its batches.
        """
        return (tuple(part.to(self.device, non_blocking=True) for part in batch) for batch in loader)

    def backward(self, loss: torch.Tensor) -> None:
        """Compute gradients.

        Parameters
        ----------
        loss : Tensor, scalar
            To minimize.
        """
        loss.backward()

    def clip_gradients(self, network: torch.nn.Module, _: torch.optim.Optimizer, *, max_norm: float) -> None:
        """Cut long gradients.

        Parameters
        ----------
        network : Module
            With gradients.
        _ : Optimizer
            Not used.
        max_norm : float
            Longest gradient.
        """
        torch.nn.utils.clip_grad_norm_(network.parameters(), max_norm)

    def save(self, path: Path, state: Mapping[str, Any]) -> None:
        """Write a checkpoint.

        Parameters
        ----------
        path : Path
            The file.
        state : mapping of str to object
            Modules, optimizers and numbers.
        """
        torch.save({k: v.state_dict() if hasattr(v, "state_dict") else v for k, v in state.items()}, path)

    def load(self, path: Path, state: dict[str, Any]) -> None:
        """Read a checkpoint, as data only.

        Parameters
        ----------
        path : Path
            The file.
        state : dict of str to object
            Takes what was saved.
        """
        for name, value in torch.load(path, map_location=self.device, weights_only=True).items():
            if hasattr(state.get(name), "load_state_dict"):
                state[name].load_state_dict(value)
            else:
                state[name] = value
