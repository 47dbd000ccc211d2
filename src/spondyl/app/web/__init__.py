"""The review page: worklist, viewer, verdicts, feedback and reader studies, behind a login and without the internet."""

from spondyl.app.web.application import create_app

__all__ = ["create_app"]
