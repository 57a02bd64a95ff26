"""HTTP around the rule judge, in the form of an OpenAI-compatible chat endpoint."""

import json
import signal
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from edge2giant import records
from edge2giant.errors import UserError

from . import rule_judge

LONGEST_REQUEST = 16 * 1024 * 1024


class Handler(BaseHTTPRequestHandler):
    """POST /v1/chat/completions rates, GET /v1/models names the judge; everything else is refused."""

    protocol_version = "HTTP/1.1"
    server_version = "edge2giant-rule-judge"
    timeout = 60

    def log_message(self, *_) -> None:
        """Stay silent: the client shows progress."""

    def do_GET(self) -> None:
        """List the one model."""
        if self.path.rstrip("/") == "/v1/models":
            self._answer(200, {"object": "list", "data": [{"id": rule_judge.MODEL, "object": "model"}]})
        else:
            self._refuse(404, "no such path")

    def do_POST(self) -> None:
        """Rate the answer shown in the last user message."""
        request = self._request()
        if request is None:
            return
        if self.path.rstrip("/") != "/v1/chat/completions":
            self._refuse(404, "no such path")
            return
        messages = request.get("messages")
        if request.get("model") != rule_judge.MODEL:
            self._refuse(404, f"the only model is {rule_judge.MODEL}")
        elif not _are_messages(messages):
            self._refuse(400, "messages must be a list of objects with role and content")
        else:
            self._answer(200, completion(messages))

    def _request(self) -> dict | None:
        try:
            length = int(self.headers.get("Content-Length", ""))
            if not 0 <= length <= LONGEST_REQUEST:
                raise ValueError("length")
            body = json.loads(self.rfile.read(length))
            if isinstance(body, dict):
                return body
        except ValueError:
            pass
        self.close_connection = True
        self._refuse(400, "the request is no JSON object of a known length")
        return None

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, {"error": {"message": message, "type": "invalid_request_error", "code": None}})

    def _answer(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _are_messages(messages: object) -> bool:
    return (
        isinstance(messages, list)
        and bool(messages)
        and all(isinstance(m, dict) and isinstance(m.get("content"), str) for m in messages)
    )


def completion(messages: list[dict]) -> dict:
    """Return the chat completion with the rule judge's verdict; words stand in for tokens in its usage."""
    text = rule_judge.grade(messages[-1]["content"]).text
    words_in = sum(len(m["content"].split()) for m in messages)
    words_out = len(text.split())
    return {
        "id": "rule-" + records.digest(messages)[:16],
        "object": "chat.completion",
        "created": 0,
        "model": rule_judge.MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": words_in,
            "completion_tokens": words_out,
            "total_tokens": words_in + words_out,
        },
    }


class Server(ThreadingHTTPServer):
    """The rule judge on a loopback port; its threads end with the process."""

    daemon_threads = True
    request_queue_size = 128

    @property
    def base_url(self) -> str:
        """Address for OpenAI clients."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


def listen(port: int) -> Server:
    """Bind the rule judge to a loopback port (0: any free one)."""
    try:
        return Server(("127.0.0.1", port), Handler)
    except (OSError, OverflowError) as error:
        raise UserError(f"cannot listen ({error})", f"port {port}", "choose another, or 0 for any") from None


def serve(port: int) -> None:
    """Serve the rule judge until SIGTERM or SIGINT."""
    signal.signal(signal.SIGTERM, _interrupt)
    with listen(port) as server, suppress(KeyboardInterrupt):
        print(f"rule judge (no language model) at {server.base_url}", file=sys.stderr, flush=True)
        server.serve_forever(poll_interval=0.05)


def _interrupt(*_) -> None:
    raise KeyboardInterrupt
