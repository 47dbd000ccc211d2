"""Networks as graphs to run: ONNX on OpenVINO, in a fixed precision, so that two machines give the same findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from spondyl.core import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from spondyl.models.card import ModelCard


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

    def predict(self, channels: NDArray[np.float32], facts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on a whole volume.

        Parameters
        ----------
        channels : ndarray of float32, shape (n_channels, n_left, n_inferior, n_posterior)
            Input channels; any size.
        facts : ndarray of float32, shape (n_facts,)
            What is told of the whole volume, such as the kind of contrast.

        Returns
        -------
        ndarray of float32, shape (classes, n_left, n_inferior, n_posterior)
            Softmax over the structures, then softmax over the lesion classes, as far as the card has them.
        """

    def release(self) -> None:
        """Give back memory that large volumes took; nothing else changes."""


LARGE_VALUES = 5_000_000
"""Values of an input from which on a graph keeps memory that is worth giving back. Chosen by us: whole spines have 7 to
20 million and then keep 0.6 to 1.5 GiB, lumbar spines 2 to 5 million; to compile a graph again takes 0.15 s."""


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
        self._compiled: Callable[[list[NDArray[np.float32]]], Mapping[object, NDArray[np.float32]]] | None = None
        self._largest = 0

    @property
    def name(self) -> str:
        """Name and version."""
        return f"{self.card.name} {self.card.version}"

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        return self.card.sha256

    def predict(self, channels: NDArray[np.float32], facts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on a whole volume.

        Parameters
        ----------
        channels : ndarray of float32, shape (n_channels, n_left, n_inferior, n_posterior)
            Input channels; any size.
        facts : ndarray of float32, shape (n_facts,)
            What is told of the whole volume, such as the kind of contrast.

        Returns
        -------
        ndarray of float32, shape (classes, n_left, n_inferior, n_posterior)
            Softmax over the structures, then softmax over the lesion classes, as far as the card has them.

        Raises
        ------
        ModelError
            If the graph does not take this input.
        """
        shape = channels.shape[1:]
        padded = [-(-n // m) * m for n, m in zip(shape, self.card.multiple, strict=True)]
        widths = [(0, 0), *((0, p - n) for n, p in zip(shape, padded, strict=True))]
        volume = np.pad(channels, widths, mode="edge")
        (output, *_) = self.run(volume[None], np.asarray(facts, np.float32)[None])
        return output[0, :, : shape[0], : shape[1], : shape[2]]

    def run(self, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the graph as it is.

        Parameters
        ----------
        *inputs : ndarray of float32
            The graph's inputs, in its order.

        Returns
        -------
        list of ndarray of float32
            The graph's outputs, in its order.

        Raises
        ------
        ModelError
            If the graph does not take these inputs.
        """
        graph = self._compiled or self._compile()
        self._largest = max(self._largest, *(i.size for i in inputs))
        try:
            found = graph([np.ascontiguousarray(i, np.float32) for i in inputs])
        except RuntimeError as error:
            shape = inputs[0].shape
            msg = f"the network {self.name} does not run on input of shape {shape}; install its weights again"
            raise ModelError(msg) from error
        return list(found.values())

    def release(self) -> None:
        """Give back memory that large volumes took; nothing else changes."""
        if self._largest >= LARGE_VALUES:
            # What a graph keeps for volumes of any size is larger than what its compilation costs.
            self._compiled, self._largest = None, 0

    def _compile(self) -> Callable[[list[NDArray[np.float32]]], Mapping[object, NDArray[np.float32]]]:
        """Compile the graph once, with the sizes that it leaves open still open: another compilation for each size of
        volume costs more than it saves, and changes no result."""
        import openvino

        settings = {"INFERENCE_PRECISION_HINT": self._precision, "PERFORMANCE_HINT": "LATENCY"}
        if self._threads:
            settings["INFERENCE_NUM_THREADS"] = str(self._threads)
        try:
            self._compiled = openvino.Core().compile_model(self._graph, "CPU", settings)
        except RuntimeError as error:
            msg = f"the weights of {self.name} cannot be loaded; install Spondyl again, or name another model"
            raise ModelError(msg) from error
        return self._compiled
