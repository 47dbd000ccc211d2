"""The server as a process: node, page and the workers it watches over."""

from __future__ import annotations

import logging
import multiprocessing
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from spondyl.app.jobs.worker import run_worker

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from spondyl.app.serve_settings import ServeSettings

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""A worker that ends is started again after a pause that doubles from the one to the other, in s. Chosen by us."""

STEADY_S = 60.0
"""A worker that lived this long starts again after the first pause, in s."""

GRACE_S = 10.0
"""Workers have so long to end, in s, before they are killed; their jobs go on with the next start either way."""

log = logging.getLogger("spondyl.serve")


class Workers:
    """Worker processes that are started again when they end.

    Parameters
    ----------
    settings : ServeSettings
        Also says how many.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._context = multiprocessing.get_context("spawn")
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep, args=(f"local-{n}",), daemon=True) for n in range(settings.workers)
        ]

    def start(self) -> None:
        """Start them."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End them."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _keep(self, name: str) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stop.is_set():
            began = time.monotonic()
            worker = self._context.Process(
                target=worker_process, args=(self._settings, name), name=f"spondyl-{name}", daemon=True
            )
            worker.start()
            while worker.is_alive() and not self._stop.wait(0.1):
                pass
            if self._stop.is_set():
                worker.terminate()
                worker.join(GRACE_S)
                worker.kill()
                return
            log.error("worker ended", extra={"facts": {"worker": name, "code": worker.exitcode}})
            steady = time.monotonic() - began > STEADY_S
            pause_s = FIRST_PAUSE_S if steady else min(2 * pause_s, LONGEST_PAUSE_S)
            self._stop.wait(pause_s)


def worker_process(settings: ServeSettings, name: str) -> None:
    """Be a worker, for as long as the process that started this one lives.

    Parameters
    ----------
    settings : ServeSettings
        Of the server.
    name : str
        Of the worker.
    """
    from spondyl.app.monitor.logs import log_as_json

    log_as_json()
    run_worker(settings, name=name, parent=True)


def application_of(settings: ServeSettings) -> FastAPI:
    """Give the web application of the node: the review page, and the routes for machines.

    Parameters
    ----------
    settings : ServeSettings
        How it serves.

    Returns
    -------
    FastAPI
        Its ``state.node`` is still to be set.
    """
    from spondyl.app.node.routes import router
    from spondyl.app.web import create_app

    return create_app(settings, machine_routers=[router])


def web_config(application: Any, settings: ServeSettings, port: int) -> uvicorn.Config:
    """Say how an application is served over the web.

    Parameters
    ----------
    application : ASGI application
        What is served.
    settings : ServeSettings
        Host and certificates.
    port : int
        Where.

    Returns
    -------
    uvicorn.Config
        With TLS if the settings have it.
    """
    import uvicorn

    tls = settings.web_tls
    secure: dict[str, Any] = {}
    if tls is not None:
        secure = {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key, "ssl_ca_certs": tls.authority}
        secure["ssl_cert_reqs"] = ssl.CERT_NONE if tls.authority is None else ssl.CERT_REQUIRED
    return uvicorn.Config(
        application,
        host=settings.web_host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        **secure,
    )


class OhifServer:
    """The server of OHIF, in a thread beside that of the page.

    Parameters
    ----------
    settings : ServeSettings
        Their part ``ohif`` is set.
    page : FastAPI
        The page, whose logins and worklist hold here, too.

    Raises
    ------
    SettingsError
        If the folder does not hold OHIF.
    """

    def __init__(self, settings: ServeSettings, page: FastAPI) -> None:
        import uvicorn

        from spondyl.app.web.ohif import create_ohif

        port = settings.ohif.port if settings.ohif is not None else 0
        self.server = uvicorn.Server(web_config(create_ohif(page.state.services, settings), settings, port))
        self._thread = threading.Thread(target=self._run, name="spondyl-ohif", daemon=True)

    def start(self) -> None:
        """Start it."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self.server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(GRACE_S)

    def _run(self) -> None:
        try:
            self.server.run()
        except SystemExit:  # a port that is taken must not end the node
            log.exception("OHIF is not served; is its port taken?")


def serve(settings: ServeSettings) -> None:
    """Serve until told to stop.

    Parameters
    ----------
    settings : ServeSettings
        Everything there is to say.

    Raises
    ------
    JobError
        If the database cannot be reached.
    """
    import uvicorn

    from spondyl.app.node.service import NodeService

    node = NodeService(settings)
    application = application_of(settings)
    application.state.node = node
    workers = Workers(settings)
    node.start()
    workers.start()
    beside = OhifServer(settings, application) if settings.ohif is not None else None
    try:
        if beside is not None:
            beside.start()
        uvicorn.Server(web_config(application, settings, settings.web_port)).run()
    finally:
        if beside is not None:
            beside.stop()
        workers.stop()
        node.stop()
        log.info("server ended")
