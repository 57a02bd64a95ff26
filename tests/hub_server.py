"""A hub on loopback: the parts of the Hugging Face hub's HTTP API that fetching uses, with faults on demand.

Model and data set info, tree, auth check, and files by HEAD and GET with their commit, etag and ranges; large files are
redirected to a second path, as the hub redirects to its storage. Raw files of git repositories are served under `/raw`.
"""

import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = 1000


def commit_of(files: dict[str, bytes]) -> str:
    text = json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())})
    return hashlib.sha1(text.encode()).hexdigest()


@dataclass
class Repo:
    """A repository: its commits, which of them `main` is, and who may read it."""

    files: dict[str, bytes]
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    main: str = ""

    def __post_init__(self):
        self.push(self.files)

    def push(self, files: dict[str, bytes], forget: bool = False) -> str:
        """Move `main` to new files; `forget` drops the old commits, as a forced push does."""
        if forget:
            self.commits.clear()
        self.main = commit_of(files)
        self.commits[self.main] = dict(files)
        return self.main

    def commit(self, revision: str) -> str | None:
        revision = self.main if revision in ("main", "HEAD") else revision
        return revision if revision in self.commits else None


@dataclass
class Fault:
    """What goes wrong with requests whose path holds `path`: `times` times (-1: always), for one method or any."""

    path: str
    kind: str  # truncate, corrupt, status
    times: int = -1
    status: int = 500
    method: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def strikes(self, method: str, path: str) -> bool:
        if self.times == 0 or self.path not in path or self.method not in (None, method):
            return False
        self.times -= 1
        return True


class HubServer(ThreadingHTTPServer):
    """Serves `repos[kind, id]` and `raw[owner/name/commit/path]`; `log` holds (method, path, headers) of requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[tuple[str, str], Repo] = {}
        self.raw: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.tokens: set[str] = set()
        self.log: list[tuple[str, str, dict]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def storage(self) -> str:
        """The storage under another name of this machine: redirects within one host are followed by requests for headers."""
        return self.url.replace("127.0.0.1", "localhost")

    def add(self, kind: str, repo: str, files: dict[str, bytes], gated: bool = False) -> Repo:
        self.repos[kind, repo] = Repo(files, gated)
        return self.repos[kind, repo]

    def requests(self, part: str = "", method: str | None = None) -> list[tuple[str, str, dict]]:
        return [entry for entry in self.log if part in entry[1] and method in (None, entry[0])]

    def handle_error(self, request, client_address):
        """A client that hangs up is no news here."""


@contextmanager
def serving():
    """Run a `HubServer` in a thread."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def do_GET(self):
        self._answer()

    def do_HEAD(self):
        self._answer()

    def log_message(self, *_):
        pass

    def _answer(self):
        url = urlsplit(self.path)
        path, query = unquote(url.path), parse_qs(url.query)
        with self.server.lock:
            self.server.log.append((self.command, path, {name.lower(): value for name, value in self.headers.items()}))
            fault = next((f for f in self.server.faults if f.strikes(self.command, path)), None)
        if fault and fault.kind == "status":
            return self._error(fault.status, "fault", "", fault.headers)
        parts = path.strip("/").split("/")
        if parts[0] == "api":
            return self._api(parts[1].removesuffix("s"), "/".join(parts[2:4]), parts[4:], query)
        if parts[0] == "storage":
            return self._content(self._stored(parts[1]), parts[1], {}, fault)
        if parts[0] == "raw":
            data = self.server.raw.get("/".join(parts[1:]))
            return self._error(404, "no such file") if data is None else self._content(data, "raw", {}, fault)
        kind = "dataset" if parts[0] == "datasets" else "model"
        parts = parts[1:] if kind == "dataset" else parts
        if len(parts) > 4 and parts[2] == "resolve":
            return self._file(kind, "/".join(parts[:2]), parts[3], "/".join(parts[4:]), fault)
        return self._error(404, "no such page")

    def _repo(self, kind: str, name: str, content: bool) -> Repo | None:
        """The repository, or None after the answer that the hub gives to those who may not see it."""
        repo = self.server.repos.get((kind, name))
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if given and given not in self.server.tokens:
            return self._error(401, "Invalid credentials in Authorization header")
        if repo is None:
            return self._error(404 if given else 401, "Repository not found", "RepoNotFound")
        if content and repo.gated and not given:
            return self._error(401, f"Access to {kind} {name} is restricted", "GatedRepo")
        return repo

    def _api(self, kind: str, name: str, rest: list[str], query: dict):
        repo = self._repo(kind, name, content=rest == ["auth-check"])
        if repo is None:
            return None
        if rest == ["auth-check"]:
            return self._json({})
        revision = rest[1] if rest else "main"
        commit = repo.commit(revision)
        if commit is None:
            return self._error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        if rest and rest[0] == "tree":
            return self._json([_tree_entry(n, d) for n, d in sorted(repo.commits[commit].items())])
        siblings = [_sibling(n, d) for n, d in sorted(repo.commits[commit].items())]
        return self._json({"id": name, "modelId": name, "sha": commit, "gated": "manual" if repo.gated else False,
                           "private": False,
                           "tags": [], "downloads": 0, "likes": 0, "siblings": siblings})  # fmt: skip

    def _file(self, kind: str, repo_name: str, revision: str, name: str, fault: Fault | None):
        repo = self._repo(kind, repo_name, content=True)
        if repo is None:
            return None
        commit = repo.commit(revision)
        if commit is None:
            return self._error(404, "no such revision", "RevisionNotFound")
        data = repo.commits[commit].get(name)
        if data is None:
            return self._error(404, "no such entry", "EntryNotFound", {"X-Repo-Commit": commit})
        headers = {"X-Repo-Commit": commit}
        if len(data) < LARGE:
            return self._content(data, _blob(data), headers, fault)
        sha256 = hashlib.sha256(data).hexdigest()
        headers |= {
            "X-Linked-ETag": f'"{sha256}"',
            "X-Linked-Size": str(len(data)),
            "Location": f"{self.server.storage}/storage/{sha256}",
        }
        return self._send(302, b"", headers)

    def _stored(self, sha256: str) -> bytes:
        contents = (data for repo in self.server.repos.values() for files in repo.commits.values() for data in files.values())
        return next(data for data in contents if hashlib.sha256(data).hexdigest() == sha256)

    def _content(self, data: bytes, etag: str, headers: dict, fault: Fault | None):
        if fault and fault.kind == "corrupt":
            data = bytes(byte ^ 1 for byte in data)
        start = int(self.headers["Range"].removeprefix("bytes=").split("-")[0]) if "Range" in self.headers else 0
        headers = headers | {"ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        cut = len(data) // 2 if fault and fault.kind == "truncate" and not start else None
        self._send(206 if start else 200, data[start:], headers, cut)

    def _json(self, value):
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, message: str, code: str = "", headers: dict | None = None):
        named = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self._send(status, json.dumps({"error": message}).encode(), named | (headers or {}))

    def _send(self, status: int, body: bytes, headers: dict, cut: int | None = None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body if cut is None else body[:cut])
            if cut is not None:
                self.close_connection = True


def _blob(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


def _sibling(name: str, data: bytes) -> dict:
    entry = {"rfilename": name, "size": len(data), "blobId": _blob(data)}
    if len(data) >= LARGE:
        entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry


def _tree_entry(name: str, data: bytes) -> dict:
    entry = {"type": "file", "oid": _blob(data), "size": len(data), "path": name}
    if len(data) >= LARGE:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry
