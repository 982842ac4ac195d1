"""A model hub on this machine: as much of its protocol as the client needs to resolve, list and download."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROUTES = (
    ("info", r"/api/(?:models|datasets)/(?P<repo>[^/]+/[^/]+)/revision/(?P<revision>[^/?]+)"),
    ("tree", r"/api/(?:models|datasets)/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/?]+)"),
    ("file", r"/(?:datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>[^?]+)"),
)


class Hub:
    """repos: repository -> commit -> file -> bytes. branches: what main is. gated: repositories that want a token.

    asked: (what, repository, revision) of every request.
    """

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, dict[str, bytes]]] = {}
        self.branches: dict[str, str] = {}
        self.gated: set[str] = set()
        self.asked: list[tuple[str, str, str]] = []

    def push(self, repo: str, commit: str, files: dict[str, bytes]) -> None:
        self.repos.setdefault(repo, {})[commit] = files
        self.branches[repo] = commit

    def answer(self, path: str, token: str | None) -> tuple[int, dict[str, str], bytes]:
        what, found = next(((w, m) for w, p in ROUTES if (m := re.match(p, path))), (None, None))
        if found is None:
            return 404, {}, b""
        repo, revision = found["repo"], found["revision"]
        self.asked.append((what, repo, revision))
        if repo not in self.repos:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if repo in self.gated and token is None:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        commit = self.branches[repo] if revision == "main" else revision
        if commit not in self.repos[repo]:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        files = self.repos[repo][commit]
        if what == "info":
            return 200, {}, json.dumps({"id": repo, "sha": commit, "siblings": []}).encode()
        if what == "tree":
            rows = [{"type": "file", "path": n, "size": len(b), "oid": _oid(b)} for n, b in files.items()]
            return 200, {}, json.dumps(rows).encode()
        body = files[found["name"]]
        return 200, {"X-Repo-Commit": commit, "ETag": f'"{_oid(body)}"'}, body


def _oid(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """-> address of the hub, on the loopback interface alone, while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = hub.answer(self.path, self.headers.get("Authorization"))
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            """The test's output is not the place."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
