"""How results are sent: what the system is told of waiting. Real archives stand in the integration tests."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from spondyl.app.node import send


class Transport:
    """Writes down in which order it is told of options and read from."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.socket = self

    def setsockopt(self, *option: object) -> None:
        self.told.append(option)

    def recv(self, n_bytes: int) -> bytearray:
        self.told.append(n_bytes)
        return bytearray(n_bytes)


def event_of(transport: Transport) -> SimpleNamespace:
    return SimpleNamespace(assoc=SimpleNamespace(dul=SimpleNamespace(socket=transport)))


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="Linux alone has TCP_QUICKACK")
def test_whatever_is_read_is_acknowledged_first():
    transport = Transport()
    send._acknowledge_at_once(event_of(transport))
    assert transport.recv(6) == bytearray(6)
    assert transport.recv(9) == bytearray(9)
    option = (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    assert transport.told == [option, 6, option, 9]


def test_systems_without_the_option_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(send, "QUICK_ACKNOWLEDGMENT", None)
    transport = Transport()
    send._acknowledge_at_once(event_of(transport))
    transport.recv(6)
    assert transport.told == [6]
