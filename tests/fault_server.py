"""A judge endpoint that misbehaves on purpose, on a loopback port, and counts what it has answered."""

import hashlib
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = (
    "429", "429 at a date", "500", "503", "hang", "drip", "malformed json", "no choices", "null text", "html",
    "half a body", "half a stream", "closed",
)  # fmt: skip


def request_key(request: dict) -> str:
    """Name a request by its messages."""
    return hashlib.sha256(json.dumps(request["messages"]).encode()).hexdigest()


class FaultServer(ThreadingHTTPServer):
    """Answers `Rating: [[r]]`, with r from 1 to 10 by the request's digest, after the faults of a script.

    Parameters
    ----------
    script : callable (key: str, attempt: int, nth: int) -> str or None
        Fault of an attempt (from 0) at a request, None for a proper answer; `nth` counts all requests.
        A script may also return ("text", words) for an answer of those words.
    hang_s : float
        How long a hanging request stays open.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, script=lambda key, attempt, nth: None, hang_s=3.0, usage=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.hang_s, self.usage = script, hang_s, usage
        self.guard = threading.Lock()
        self.attempts, self.answered, self.faults = Counter(), Counter(), Counter()
        self.requests, self.headers = [], []
        self.released = threading.Event()
        self.flying = self.most_flying = 0

    @property
    def base_url(self):
        """Address for OpenAI clients."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request, client_address):
        """Clients that give up are what is tested."""


class Handler(BaseHTTPRequestHandler):
    """One request after another of a client."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Stay silent."""

    def do_POST(self):
        """Commit the scripted fault or answer."""
        server = self.server
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = request_key(request)
        with server.guard:
            attempt, nth = server.attempts[key], sum(server.attempts.values())
            server.attempts[key] += 1
            server.requests.append(request)
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            server.flying += 1
            server.most_flying = max(server.flying, server.most_flying)
        try:
            self._commit(server.script(key, attempt, nth), key)
        finally:
            with server.guard:
                server.flying -= 1

    def _commit(self, fault, key):
        with self.server.guard:
            self.server.faults[fault if isinstance(fault, str) else "none"] += 1
        if fault is None or isinstance(fault, tuple):
            words = fault[1] if fault else f"Because. Rating: [[{int(key[:8], 16) % 10 + 1}]]"
            with self.server.guard:
                self.server.answered[key] += 1
            self._send(200, completion(words, self.server.usage))
        else:
            self._fault(fault)

    def _fault(self, fault):
        error = json.dumps({"error": {"message": f"scripted {fault}", "code": None}}).encode()
        if fault == "429":
            self._send(429, error, {"Retry-After": "0.05"})
        elif fault == "429 at a date":
            self._send(429, error, {"Retry-After": self.date_time_string(int(time.time()) + 1)})
        elif fault == "quota":
            self._send(429, json.dumps({"error": {"message": "pay", "code": "insufficient_quota"}}).encode())
        elif fault == "echo":
            self._send(401, json.dumps({"error": {"message": self.headers["Authorization"]}}).encode())
        elif fault.isdigit():
            self._send(int(fault), error)
        elif fault == "hang":
            self.server.released.wait(self.server.hang_s)
            self.close_connection = True
        elif fault == "drip":
            self._drip()
        elif fault == "malformed json":
            self._send(200, b'{"choices": [{"mess')
        elif fault == "no choices":
            self._send(200, b'{"choices": []}')
        elif fault == "null text":
            self._send(200, b'{"choices": [{"message": {"role": "assistant", "content": null}}]}')
        elif fault == "html":
            self._send(200, b"<html>Rating: [[10]]</html>", {"Content-Type": "text/html"})
        elif fault == "half a body":
            self._half(completion("Rating: [[10]]", True))
        elif fault == "half a stream":
            self._half_stream()
        elif fault == "closed":
            self.close_connection = True
        else:
            raise AssertionError(fault)

    def _send(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _half(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True

    def _half_stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        event = b'data: {"choices": [{"delta": {"content": "Rating: [[10]]"}}]}\n\n'
        self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        self.close_connection = True

    def _drip(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "100000")
        self.end_headers()
        until = time.monotonic() + self.server.hang_s
        while time.monotonic() < until and not self.server.released.wait(0.1):
            self.wfile.write(b" ")
            self.wfile.flush()
        self.close_connection = True


def completion(words: str, usage: bool) -> bytes:
    """Return a chat completion of these words, 100 prompt and 10 completion tokens long."""
    body = {
        "id": "x", "object": "chat.completion", "created": 0, "model": "faulty-2026",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
        ],
    }  # fmt: skip
    if usage:
        body["usage"] = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return json.dumps(body).encode()


@contextmanager
def serving(*args, **kwargs):
    """Run a fault server for the time of the block."""
    server = FaultServer(*args, **kwargs)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
