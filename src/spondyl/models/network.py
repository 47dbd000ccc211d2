"""Networks as graphs to run: ONNX on OpenVINO, in a fixed precision, so that two machines give the same findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from spondyl.core import ModelError
from spondyl.models.contrast_code import one_hot

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from spondyl.models.card import ModelCard
    from spondyl.models.contrast_code import ContrastCode


class Network(Protocol):
    """What a step needs of a network."""

    @property
    def card(self) -> ModelCard:
        """What it is and how it is run."""

    @property
    def name(self) -> str:
        """Name and version."""

    @property
    def sha256(self) -> str:
        """Hash of its weights."""

    def predict(self, channels: NDArray[np.float32], code: ContrastCode) -> NDArray[np.float32]:
        """Run the network on a whole volume.

        Parameters
        ----------
        channels : ndarray of float32, shape (2, n_left, n_inferior, n_posterior)
            Input channels; any size.
        code : ContrastCode
            Kind of contrast.

        Returns
        -------
        ndarray of float32, shape (classes, n_left, n_inferior, n_posterior)
            Softmax over the structures, then softmax over the lesion classes.
        """


class OpenVinoNetwork:
    """A network that OpenVINO runs on the CPU.

    Parameters
    ----------
    card : ModelCard
        The card.
    graph : Path
        The ONNX file, its hash already checked.
    threads : int, optional
        Processor threads; 0 takes all.
    precision : str, optional
        ``"f32"`` or ``"bf16"``; f32 is what every stated figure was measured in.
    """

    def __init__(self, card: ModelCard, graph: Path, *, threads: int = 0, precision: str = "f32") -> None:
        self.card = card
        self._graph, self._threads, self._precision = graph, threads, precision
        self._compiled: dict[tuple[int, ...], object] = {}

    @property
    def name(self) -> str:
        """Name and version."""
        return f"{self.card.name} {self.card.version}"

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        return self.card.sha256

    def predict(self, channels: NDArray[np.float32], code: ContrastCode) -> NDArray[np.float32]:
        """Run the network on a whole volume.

        Parameters
        ----------
        channels : ndarray of float32, shape (2, n_left, n_inferior, n_posterior)
            Input channels; any size.
        code : ContrastCode
            Kind of contrast.

        Returns
        -------
        ndarray of float32, shape (classes, n_left, n_inferior, n_posterior)
            Softmax over the structures, then softmax over the lesion classes.

        Raises
        ------
        ModelError
            If the graph does not take this input.
        """
        shape = channels.shape[1:]
        padded = [-(-n // m) * m for n, m in zip(shape, self.card.multiple, strict=True)]
        widths = [(0, 0), *((0, p - n) for n, p in zip(shape, padded, strict=True))]
        batch = np.pad(channels, widths, mode="edge")[None].astype(np.float32)
        run = self._compile(tuple(batch.shape))
        try:
            output = next(iter(run((batch, one_hot(code))).values()))  # type: ignore[operator]
        except RuntimeError as error:
            msg = f"the network {self.name} does not run on input of shape {batch.shape}; install its weights again"
            raise ModelError(msg) from error
        return output[0, :, : shape[0], : shape[1], : shape[2]]

    def _compile(self, shape: tuple[int, ...]) -> object:
        if shape not in self._compiled:
            import openvino

            core = openvino.Core()
            try:
                model = core.read_model(self._graph)
                model.reshape({0: list(shape), 1: [1, 4]})
                settings = {"INFERENCE_PRECISION_HINT": self._precision, "PERFORMANCE_HINT": "LATENCY"}
                if self._threads:
                    settings["INFERENCE_NUM_THREADS"] = str(self._threads)
                self._compiled = {shape: core.compile_model(model, "CPU", settings)}
            except RuntimeError as error:
                msg = f"the weights of {self.name} cannot be loaded; install Spondyl again, or name another model"
                raise ModelError(msg) from error
        return self._compiled[shape]
