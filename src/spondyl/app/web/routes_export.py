"""De-identified copies of a study, for administrators."""

from __future__ import annotations

import secrets
import shutil
import zipfile
from typing import Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from spondyl.app.data_folder import secret_file
from spondyl.app.export import KEY_BYTES, MARK, export_files
from spondyl.app.web.pages import Admin, Given
from spondyl.app.web.routes_study import open_study
from spondyl.io.deidentify import Deidentification

router = APIRouter(tags=["study"])


@router.get("/api/studies/{study_key}/deidentified.zip", response_class=Response)
def deidentified_copy(
    study_key: str,
    services: Given,
    session: Admin,
    dates: Literal["remove", "shift"] = "remove",
    *,
    keep_characteristics: bool = False,
) -> Response:
    """Give a de-identified copy of a study and its results (PS3.15 Basic Profile).

    Parameters
    ----------
    study_key : str
        Which study.
    services : Services
        What routes work with.
    session : Session
        Who asks.
    dates : str, optional
        ``remove``, or ``shift`` to keep the days between them.
    keep_characteristics : bool, optional
        Keep sex, age, size and weight.

    Returns
    -------
    Response
        A zip; pseudonyms and UIDs are the same in every export of this node.
    """
    row = open_study(services, session, study_key)
    folder = services.studies.folder
    secret = secret_file(folder.root / "export.key", secrets.token_bytes(KEY_BYTES))
    files = sorted(folder.incoming(row.study_key).glob("*.dcm"))
    files += sorted((services.studies.result_folder(row) / "dicom").glob("*.dcm"))
    draft = folder.scratch / f"export-{secrets.token_hex(8)}"
    draft.mkdir(parents=True)
    try:
        told = export_files(files, draft, Deidentification(secret, dates, keep_characteristics))
        if not told.written:
            raise HTTPException(400, f"nothing could be exported: {'; '.join(told.left_out)}")
        (draft / MARK).write_text("\n".join(told.lines()) + "\n", encoding="utf-8")
        packed = draft.with_suffix(".zip")
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for path in sorted(p for p in draft.rglob("*") if p.is_file()):
                archive.write(path, path.relative_to(draft))
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    services.log.append(
        session.user.name, "study.export", study_key=study_key, dates=dates, characteristics=keep_characteristics
    )
    name = f"{Deidentification(secret).pseudonym(study_key).lower()}.zip"
    done = BackgroundTask(packed.unlink, missing_ok=True)
    return FileResponse(packed, media_type="application/zip", filename=name, background=done)
