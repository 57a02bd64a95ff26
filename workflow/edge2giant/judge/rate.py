"""Rate a set of answers: every judgment once, whatever the endpoint does, within a spending cap."""

import sys
import threading
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from edge2giant import provenance
from edge2giant.errors import UserError
from edge2giant.judge import rating
from edge2giant.judge.endpoint import CapError, Endpoint, EndpointError, JudgmentError, Reply, StoppedError
from edge2giant.judge.judgment_cache import JudgmentCache
from edge2giant.judge.requests import JudgmentRequest
from edge2giant.specs.judge import JudgeService, JudgeSpec

PROGRESS_S = 2.0
# How often to look for judgments that another process has claimed.
ELSEWHERE_S = 0.5


@dataclass(frozen=True)
class Outcome:
    """Result of a run.

    Parameters
    ----------
    judgments, failed : list of dict
        Records of the finished judgments and, with their reasons, of those that failed, in the order of the requests.
    not_requested : int
        How many were left when the run stopped.
    reason : str or None
        Why it stopped early; None when all were requested.
    """

    judgments: list[dict]
    failed: list[dict]
    not_requested: int
    reason: str | None

    def summary(self) -> str:
        """One line on what is missing and why."""
        reasons = Counter(row["error"] for row in self.failed)
        parts = [f"{count} failed ({reason})" for reason, count in reasons.most_common(3)]
        if self.not_requested:
            parts.append(f"{self.not_requested} not requested")
        if self.reason:
            parts.append(self.reason)
        return f"{len(self.judgments)} judgments finished, " + ", ".join(parts)


class Judging:
    """One run over a list of requests, by `service.concurrency` threads; what the open cache holds is not requested again."""

    def __init__(self, requests: list[JudgmentRequest], spec: JudgeSpec, service: JudgeService, cache: JudgmentCache, ledger):
        self.requests, self.spec, self.service, self.cache, self.ledger = requests, spec, service, cache, ledger
        # two answers with the same text make one request; its judgment counts for both
        unique = {r.fingerprint: r for r in reversed(requests) if r.fingerprint not in cache.done}
        self.waiting = deque(reversed(unique.values()))
        self.elsewhere: list[JudgmentRequest] = []
        self.stop = threading.Event()
        self.change = threading.Condition()
        self.reason: str | None = None
        self.failed: dict[str, JudgmentError] = {}
        self.retries = 0
        self.in_flight = 0
        self.failed_in_a_row = 0
        self._printed = 0.0

    def run(self, base_url: str, key: str) -> Outcome:
        """Request everything that is not yet in the cache.

        Raises
        ------
        UserError
            If the endpoint refuses the key or the model. Earlier judgments are in the cache.
        """
        endpoint = Endpoint(self.spec, self.service, base_url, key, self.ledger, self.stop)
        self._progress(force=True)
        threads = min(self.service.concurrency, max(len(self.waiting), 1))
        try:
            with endpoint.client, ThreadPoolExecutor(threads, thread_name_prefix="judge") as pool:
                workers = [pool.submit(self._work, endpoint) for _ in range(threads)]
                try:
                    for worker in workers:
                        worker.result()
                finally:
                    self._end(self.reason)
        finally:
            self._progress(force=True)
        return self.outcome()

    def _work(self, endpoint: Endpoint) -> None:
        while (request := self._next()) is not None:
            try:
                self._finish(request, endpoint.reply(request.messages))
            except CapError:
                self._wait_for_money(request)
            except StoppedError:
                self._put_back(request)
            except JudgmentError as error:
                self._fail(request, error)
            except BaseException as error:
                self._put_back(request)
                self._end(f"{type(error).__name__}: {error}")
                if isinstance(error, EndpointError):
                    hint = "check key, model and address"
                    raise UserError(str(error), f"judge {self.spec.judge}", hint) from None
                raise

    def _next(self) -> JudgmentRequest | None:
        """Take a request that no other process has claimed; None when there is nothing left to do."""
        while not self.stop.is_set():
            with self.change:
                if self.waiting:
                    request = self.waiting.popleft()
                    if self.cache.claim(request.fingerprint):
                        self.in_flight += 1
                        return request
                    if request.fingerprint not in self.cache.done:
                        self.elsewhere.append(request)
                    continue
                if not self.elsewhere:
                    return None
                # another process has sent the same requests: wait for its judgments, or for its end
                self.waiting.extend(self.elsewhere)
                self.elsewhere.clear()
            self.stop.wait(ELSEWHERE_S)
        return None

    def _release(self, request: JudgmentRequest) -> None:
        self.cache.release(request.fingerprint)
        self.in_flight -= 1
        self.change.notify_all()

    def _put_back(self, request: JudgmentRequest) -> None:
        with self.change:
            self.waiting.appendleft(request)
            self._release(request)

    def _wait_for_money(self, request: JudgmentRequest) -> None:
        """Wait for a call in flight, which reserves more than it costs; if there is none, end the run."""
        with self.change:
            self._put_back(request)
            if self.in_flight == 0:
                self._end(f"the next call could pass the cap of {self.service.limit_usd:g} USD")
            else:
                self.change.wait(timeout=1.0)

    def _end(self, reason: str | None) -> None:
        with self.change:
            self.reason = self.reason or reason
            self.stop.set()
            self.change.notify_all()

    def _finish(self, request: JudgmentRequest, reply: Reply) -> None:
        self.cache.append(judgment(request, self.spec, reply))
        with self.change:
            self.retries += reply.attempts - 1
            self.failed_in_a_row = 0
            self._release(request)
        self._progress()

    def _fail(self, request: JudgmentRequest, error: JudgmentError) -> None:
        with self.change:
            self.retries += error.attempts - 1
            self.failed[request.fingerprint] = error
            self.failed_in_a_row += 1
            self._release(request)
            if self.failed_in_a_row >= self.service.give_up_after:
                self._end(f"{self.failed_in_a_row} judgments in a row failed; the last: {error.reason}")
        self._progress()

    def _progress(self, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._printed < PROGRESS_S:
            return
        self._printed = now
        done = [self.cache.done[r.fingerprint] for r in self.requests if r.fingerprint in self.cache.done]
        unparsed = sum(row["status"] == "unparsed" for row in done)
        parts = [f"{len(done)}/{len(self.requests)} judged", f"{unparsed} unparsed", f"{len(self.failed)} failed"]
        parts.append(f"{self.retries} retries")
        if not self.service.free:
            ledger = self.ledger
            limit = "no cap" if ledger.limit_usd is None else f"cap {ledger.limit_usd:g}"
            parts.append(f"USD {ledger.charged_usd:.2f} + {ledger.reserved_usd:.2f} reserved ({limit})")
        print(f"judge {self.spec.judge}: {', '.join(parts)}", file=sys.stderr, flush=True)

    def outcome(self) -> Outcome:
        """What is in the cache now, and what is missing."""
        done, failed = self.cache.done, self.failed
        # a cached judgment of the same text may be about another model
        kept = [done[r.fingerprint] | _identity(r, self.spec) for r in self.requests if r.fingerprint in done]
        judgments = [row | _other_reading(row["judgment"], row["rating"]) for row in kept]
        failures = [judgment(r, self.spec, failed[r.fingerprint]) for r in self.requests if r.fingerprint in failed]
        left = len(self.requests) - len(judgments) - len(failures)
        return Outcome(judgments, failures, left, self.reason)


def judgment(request: JudgmentRequest, spec: JudgeSpec, found: Reply | JudgmentError) -> dict:
    """Record of a judgment. Without a rating in its text that is null; a failed one is reported, never scored, never cached."""
    if isinstance(found, JudgmentError):
        value, text, status, error, reply = None, None, "failed", found.reason or "unknown", Reply(attempts=found.attempts)
    else:
        value, text = rating.parse(found.judgment)
        status, error, reply = "unparsed" if value is None else "rated", None, found
    return {
        **_identity(request, spec),
        **asdict(reply),
        "rating": value,
        "rating_text": text,
        "status": status,
        "error": error,
        "finished": provenance.now(),
    }


def _other_reading(text: str, first: float | None) -> dict:
    """`last_rating` of a judgment whose last rating is another than its first."""
    last = rating.last(text)
    return {} if last in (None, first) else {"last_rating": last}


def _identity(request: JudgmentRequest, spec: JudgeSpec) -> dict:
    about = {name: value for name, value in vars(request).items() if name != "messages"}
    return {"schema": 1, "judge": spec.judge, "model": spec.model, **about}
