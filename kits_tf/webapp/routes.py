"""Requests that a browser may make: the page, and a user's own scans.

GET    /                               the page, or a form for the token where one is required
POST   /sign-in                        {"token": ...}
GET    /files/NAME                     files of the page
GET    /api/about                      the model, what it knows, and the example to try
POST   /api/example                    the example as a scan of the user -> {"key": ...}
GET    /api/scans                      the user's scans, and the state of each
POST   /api/scans                      {"name": ...}: a new scan -> {"key": ...}
PUT    /api/scans/KEY/files/N?name=    one of its files
PUT    /api/scans/KEY/reference?name=  a mask that came beside it, to compare with
POST   /api/scans/KEY/start            {}: all files are there; {"series": ...}: one of the choices;
                                       {"accept_intensities": "true"}: though it is refused as no CT in Hounsfield units
DELETE /api/scans/KEY                  cancels it and removes its files
GET    /api/scans/KEY                  findings of its mask
GET    /api/scans/KEY/scan.nii.gz      for the viewer
GET    /api/scans/KEY/mask.nii.gz
GET    /api/scans/KEY/reference.nii.gz
PUT    /api/scans/KEY/mask             a corrected mask, NIfTI -> its findings
GET    /api/scans/KEY/mask.dcm         DICOM SEG, only if the scan came as a series
GET    /api/scans/KEY/kidneys.csv
GET    /api/scans/KEY/lesions.csv
GET    /api/scans/KEY/measurements.pdf
"""

import hmac
import json
import shutil
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from kits_tf.base.errors import InputError
from kits_tf.config import PageSettings
from kits_tf.config.serving import THIS_MACHINE
from kits_tf.serving.http_server import TooLargeError, read_body
from kits_tf.webapp import downloads, pages
from kits_tf.webapp.correction import correct
from kits_tf.webapp.findings import reference_to_json, to_json
from kits_tf.webapp.studies import UNNAMED, RefusedError, Session, Sessions, State, Study
from kits_tf.webapp.uploads import display_name, receive, reference_path, slice_path
from kits_tf.webapp.worker import Worker

_COOKIE = "kits_tf_session"
_MAX_JSON_BYTES = 10_000
_HEADERS = {
    # Nothing on the page can reach another machine, whatever its scripts try.
    "content-security-policy": "default-src 'none'; script-src 'self' blob:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; img-src 'self' data: blob:; style-src 'self'; font-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
Handler = Callable[[Request], Awaitable[Response]]
UserHandler = Callable[[Request, Session], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may use the page.

    Attributes:
        host: address that the server listens on.
        token: token that a user must enter; "" for none.
        is_encrypted: whether the connection is encrypted.
    """

    host: str
    token: str = ""
    is_encrypted: bool = False

    @property
    def hosts(self) -> Collection[str]:
        """Host headers to accept, against DNS rebinding; empty accepts any.

        Only a page on a loopback address is known to have no other names.
        """
        return THIS_MACHINE if self.host in THIS_MACHINE else ()


class Page:
    """The routes of the page.

    Args:
        sessions: sessions of all users.
        worker: worker that segments.
        settings: limits of the page, and its example.
        access: address, token and encryption of the page.

    Attributes:
        routes: Starlette's routes.
    """

    def __init__(self, sessions: Sessions, worker: Worker, settings: PageSettings, access: Access) -> None:
        self._sessions, self._worker = sessions, worker
        self._max_scan_bytes, self._example, self._access = settings.max_scan_bytes, settings.example_scan, access
        study = "/api/scans/{key}"
        self.routes = [
            self._route("/", self._page),
            self._route("/sign-in", self._sign_in, "POST"),
            self._route("/files/{name}", self._file),
            self._of_user("/api/about", self._about),
            self._of_user("/api/example", self._try_example, "POST"),
            self._of_user("/api/scans", self._list),
            self._of_user("/api/scans", self._add, "POST"),
            self._of_user(study, self._findings),
            self._of_user(study, self._remove, "DELETE"),
            self._of_user(f"{study}/files/{{number:int}}", self._receive, "PUT"),
            self._of_user(f"{study}/reference", self._receive_reference, "PUT"),
            self._of_user(f"{study}/start", self._start, "POST"),
            self._of_user(f"{study}/scan.nii.gz", self._download(downloads.scan)),
            self._of_user(f"{study}/mask.nii.gz", self._download(downloads.mask)),
            self._of_user(f"{study}/reference.nii.gz", self._download(downloads.reference)),
            self._of_user(f"{study}/mask", self._correct, "PUT"),
            self._of_user(f"{study}/mask.dcm", self._download(downloads.dicom_segmentation)),
            self._of_user(f"{study}/kidneys.csv", self._download(downloads.kidneys)),
            self._of_user(f"{study}/lesions.csv", self._download(downloads.lesions)),
            self._of_user(f"{study}/measurements.pdf", self._download(downloads.document)),
        ]

    def _route(self, path: str, handler: Handler, method: str = "GET") -> Route:
        """Returns a route that answers requests of this page only, with headers that restrict what the browser does."""

        async def guarded(request: Request) -> Response:
            try:
                self._check_origin(request)
                response = await handler(request)
            except RefusedError as error:
                response = JSONResponse({"error": error.message}, error.status)
            except InputError as error:
                response = JSONResponse({"error": str(error)}, 400)
            except ClientDisconnect:
                response = Response(status_code=499)
            response.headers.update(_HEADERS)
            return response

        return Route(path, guarded, methods=[method])

    def _of_user(self, path: str, handler: UserHandler, method: str = "GET") -> Route:
        """Returns a route for users who have a session."""

        async def with_session(request: Request) -> Response:
            session = self._sessions.find(request.cookies.get(_COOKIE, ""))
            if session is None:
                raise RefusedError(401, "your session has ended, and its scans are removed; load the page anew")
            return await handler(request, session)

        return self._route(path, with_session, method)

    def _check_origin(self, request: Request) -> None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        hosts = self._access.hosts
        if hosts and urlsplit(f"//{host}").hostname not in hosts:
            raise RefusedError(403, f"expected this server to be called {' or '.join(sorted(hosts))}")
        if request.method != "GET" and origin is not None and urlsplit(origin).netloc != host:
            raise RefusedError(403, "expected a request of this page, got one of another")

    async def _page(self, request: Request) -> Response:
        session = self._sessions.find(request.cookies.get(_COOKIE, ""))
        if session is None and self._access.token:
            return HTMLResponse(pages.file("sign_in.html")[0])
        response = HTMLResponse(pages.file("page.html")[0])
        if session is None:
            self._give_session(response)
        return response

    async def _sign_in(self, request: Request) -> Response:
        given = (await _json(request)).get("token", "")
        if not hmac.compare_digest(given.encode(), self._access.token.encode()):
            raise RefusedError(401, "this is not the token that the server was started with")
        response = JSONResponse({})
        self._give_session(response)
        return response

    def _give_session(self, response: Response) -> None:
        token = self._sessions.new().token
        response.set_cookie(_COOKIE, token, httponly=True, samesite="strict", secure=self._access.is_encrypted)

    async def _file(self, request: Request) -> Response:
        content, kind = await run_in_threadpool(pages.file, request.path_params["name"])
        return Response(content, media_type=kind)

    async def _about(self, _: Request, __: Session) -> Response:
        model = await run_in_threadpool(self._worker.model)
        example = self._example.name if self._example else ""
        return JSONResponse({"model": model.identity, "notices": model.notices, "example": example})

    async def _try_example(self, _: Request, session: Session) -> Response:
        if self._example is None:
            raise RefusedError(404, "this page was started without an example")
        study = session.add(display_name(self._example.name))
        await run_in_threadpool(shutil.copyfile, self._example, slice_path(study, self._example.name, 0))
        self._worker.submit(study)
        return JSONResponse(self._state(study), 201)

    async def _list(self, _: Request, session: Session) -> Response:
        return JSONResponse({"scans": [self._state(study) for study in session.studies]})

    async def _add(self, request: Request, session: Session) -> Response:
        study = session.add(display_name((await _json(request)).get("name", "")))
        return JSONResponse(self._state(study), 201)

    async def _receive(self, request: Request, session: Session) -> Response:
        study = session.find(request.path_params["key"])
        name, number = request.query_params.get("name", ""), request.path_params["number"]
        return await self._receive_file(request, study, slice_path(study, name, number))

    async def _receive_reference(self, request: Request, session: Session) -> Response:
        study = session.find(request.path_params["key"])
        return await self._receive_file(request, study, reference_path(study, request.query_params.get("name", "")))

    async def _receive_file(self, request: Request, study: Study, path: Path) -> Response:
        await receive(study, path, request.stream(), self._max_scan_bytes)
        return JSONResponse(self._state(study))

    async def _start(self, request: Request, session: Session) -> Response:
        study = session.find(request.path_params["key"])
        choice = await _json(request)
        self._worker.submit(study, choice.get("series", ""), choice.get("accept_intensities") == "true")
        return JSONResponse(self._state(study))

    async def _remove(self, request: Request, session: Session) -> Response:
        session.remove(request.path_params["key"])
        return JSONResponse({})

    async def _findings(self, request: Request, session: Session) -> Response:
        study = session.find(request.path_params["key"])
        return JSONResponse(self._state(study) | {"findings": _shown(study)})

    async def _correct(self, request: Request, session: Session) -> Response:
        study = session.find(request.path_params["key"])
        content = await _body(request, self._max_scan_bytes)
        await run_in_threadpool(correct, study, content)
        return JSONResponse({"findings": _shown(study)})

    def _download(self, make: Callable[[Study], downloads.File]) -> UserHandler:
        async def download(request: Request, session: Session) -> Response:
            file = await run_in_threadpool(make, session.find(request.path_params["key"]))
            name = quote(file.name)
            headers = {"content-disposition": f"attachment; filename*=UTF-8''{name}"}
            return Response(file.content, media_type=file.media_type, headers=headers)

        return download

    def _state(self, study: Study) -> dict[str, Any]:
        return {
            "key": study.key,
            "name": study.name or UNNAMED,
            "details": study.details,
            "state": study.state.value,
            "message": study.message,
            "before": self._worker.place_of(study) if study.state is State.QUEUED else 0,
            "windows": study.windows,
            "choices": study.choices,
            "is_series": study.is_series,
            "segmentation_problem": study.segmentation_problem,
            "is_corrected": study.is_corrected,
        }


def _shown(study: Study) -> dict[str, Any]:
    """Returns what the page shows of a study that has a mask."""
    return to_json(downloads.require_findings(study)) | {"reference": reference_to_json(study.reference)}


async def _json(request: Request) -> dict[str, str]:
    """Returns the texts of a small JSON object."""
    try:
        content = json.loads(await _body(request, _MAX_JSON_BYTES))
    except ValueError:
        content = None
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise RefusedError(400, "expected a JSON object of texts")
    return content


async def _body(request: Request, max_bytes: int) -> bytes:
    try:
        return await read_body(request, max_bytes)
    except TooLargeError:
        raise RefusedError(413, f"expected {max_bytes} bytes at most") from None
