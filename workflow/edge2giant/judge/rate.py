"""Rate a set of answers: every judgment once, whatever the endpoint does, within a spending cap."""

import datetime
import json
import sys
import threading
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from edge2giant.errors import UserError
from edge2giant.judge import budget, rating
from edge2giant.judge.asks import Ask
from edge2giant.judge.config import Judge
from edge2giant.judge.endpoint import CapError, Endpoint, EndpointError, JudgmentError, Reply, StoppedError
from edge2giant.judge.journal import Journal

PROGRESS_S = 2.0
# How often to look for judgments that another process is at.
ELSEWHERE_S = 0.5


@dataclass
class Outcome:
    """What a run of judging came to.

    Attributes
    ----------
    judgments : list of dict
        One record a judgment had, in the order of the plan.
    failed : list of dict
        Records (status `failed`) of those that could not be had, with their reasons.
    not_asked : int
        How many were left when the run was stopped.
    reason : str or None
        Why it was stopped: None when all were asked.
    """

    judgments: list[dict]
    failed: list[dict]
    not_asked: int
    reason: str | None
    retries: Counter = field(default_factory=Counter)


def estimate(asks: list[Ask], done: set[str], judge: Judge) -> dict:
    """Say what a run would take, without any call.

    Returns
    -------
    dict
        Calls in all, done and to be made; prompt and completion tokens and USD as estimated (4 bytes a token,
        250 tokens a judgment) and at most (a token a byte, every reply at the token limit).
    """
    todo = [a for a in asks if a.fingerprint not in done]
    return {
        "judge": judge.name,
        "model": judge.model,
        "judgments": len(asks),
        "done": len(asks) - len(todo),
        "calls": len(todo),
        "tokens_in": sum(budget.usual_tokens_in(a.messages) for a in todo),
        "tokens_out": len(todo) * min(budget.USUAL_JUDGMENT, judge.max_tokens),
        "usd": round(sum(budget.usual_usd(judge, a.messages) for a in todo), 4),
        "most_tokens_in": sum(budget.most_tokens_in(a.messages) for a in todo),
        "most_tokens_out": len(todo) * judge.max_tokens,
        "most_usd": round(sum(budget.most_usd(judge, a.messages) for a in todo), 4),
        "limit_usd": judge.limit_usd,
    }


class Rating:
    """One run over a plan of judgments, by `judge.concurrency` threads.

    Parameters
    ----------
    asks : list of Ask
        The plan.
    judge : Judge
        Who rates.
    journal : Journal
        Open journal; what it holds is not asked for again.
    ledger : Ledger or NoLedger
        Books with the cap.
    """

    def __init__(self, asks: list[Ask], judge: Judge, journal: Journal, ledger):
        self.asks, self.judge, self.journal, self.ledger = asks, judge, journal, ledger
        # two answers that read alike make one request; its judgment counts for both
        unique = {a.fingerprint: a for a in reversed(asks) if a.fingerprint not in journal.done}
        self.waiting = deque(reversed(unique.values()))
        self.elsewhere: list[Ask] = []
        self.stop = threading.Event()
        self.change = threading.Condition()
        self.reason: str | None = None
        self.failed: dict[str, JudgmentError] = {}
        self.retries: Counter = Counter()
        self.flying = 0
        self.misses = 0
        self._said = 0.0

    def run(self, base_url: str, key: str) -> Outcome:
        """Ask for everything that is not yet in the journal.

        Raises
        ------
        UserError
            If the endpoint refuses the key or the model. What was had before is in the journal.
        """
        endpoint = Endpoint(self.judge, base_url, key, self.ledger, self.stop, self._retried)
        self._progress(force=True)
        threads = min(self.judge.concurrency, max(len(self.waiting), 1))
        try:
            with ThreadPoolExecutor(threads, thread_name_prefix="judge") as pool:
                workers = [pool.submit(self._work, endpoint) for _ in range(threads)]
                try:
                    for worker in workers:
                        worker.result()
                finally:
                    self._end(self.reason)
        finally:
            endpoint.close()
            self._progress(force=True)
        return self.outcome()

    def _work(self, endpoint: Endpoint) -> None:
        while (ask := self._next()) is not None:
            try:
                self._had(ask, endpoint.ask(ask.messages))
            except CapError:
                self._wait_for_money(ask)
            except StoppedError:
                self._put_back(ask)
            except JudgmentError as error:
                self._missed(ask, error)
            except BaseException as error:
                self._put_back(ask)
                self._end(f"{type(error).__name__}: {error}")
                if isinstance(error, EndpointError):
                    hint = "check key, model and address"
                    raise UserError(str(error), f"judge {self.judge.name}", hint) from None
                raise

    def _next(self) -> Ask | None:
        """Take an ask that no other process is at; None when there is nothing left to do."""
        while not self.stop.is_set():
            with self.change:
                if self.waiting:
                    ask = self.waiting.popleft()
                    if self.journal.claim(ask.fingerprint):
                        self.flying += 1
                        return ask
                    if ask.fingerprint not in self.journal.done:
                        self.elsewhere.append(ask)
                    continue
                if not self.elsewhere:
                    return None
                # another process asks for the same: wait for its judgments, or for its end
                self.waiting.extend(self.elsewhere)
                self.elsewhere.clear()
            self.stop.wait(ELSEWHERE_S)
        return None

    def _land(self, ask: Ask) -> None:
        self.journal.release(ask.fingerprint)
        self.flying -= 1
        self.change.notify_all()

    def _put_back(self, ask: Ask) -> None:
        with self.change:
            self.waiting.appendleft(ask)
            self._land(ask)

    def _wait_for_money(self, ask: Ask) -> None:
        """Wait for a call in flight, which reserves more than it costs; if none flies, end the run."""
        with self.change:
            self.waiting.appendleft(ask)
            self._land(ask)
            if self.flying == 0:
                self._end(f"the next call could pass the cap of {self.judge.limit_usd:g} USD")
            else:
                self.change.wait(timeout=1.0)

    def _end(self, reason: str | None) -> None:
        with self.change:
            self.reason = self.reason or reason
            self.stop.set()
            self.change.notify_all()

    def _retried(self, reason: str) -> None:
        with self.change:
            self.retries[reason[:60]] += 1

    def _had(self, ask: Ask, reply: Reply) -> None:
        self.journal.add(judgment(ask, self.judge, reply))
        with self.change:
            self.misses = 0
            self._land(ask)
        self._progress()

    def _missed(self, ask: Ask, error: JudgmentError) -> None:
        with self.change:
            self.failed[ask.fingerprint] = error
            self.misses += 1
            self._land(ask)
            if self.misses >= self.judge.give_up_after:
                self._end(f"{self.misses} judgments in a row could not be had; the last: {error.reason}")
        self._progress()

    def _progress(self, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._said < PROGRESS_S:
            return
        self._said = now
        had = [self.journal.done[a.fingerprint] for a in self.asks if a.fingerprint in self.journal.done]
        unparsed = sum(row["status"] == "unparsed" for row in had)
        parts = [f"{len(had)}/{len(self.asks)} judged", f"{unparsed} unparsed", f"{len(self.failed)} failed"]
        parts.append(f"{sum(self.retries.values())} retries")
        if not self.judge.free:
            limit = "no cap" if self.ledger.limit_usd is None else f"cap {self.ledger.limit_usd:g}"
            books = self.ledger
            parts.append(f"USD {books.settled_usd:.2f} + {books.reserved_usd:.2f} reserved ({limit})")
        print(f"judge {self.judge.name}: {', '.join(parts)}", file=sys.stderr, flush=True)

    def outcome(self) -> Outcome:
        """Return what is in the journal now, and what is missing."""
        had = [a for a in self.asks if a.fingerprint in self.journal.done]
        failed = [a for a in self.asks if a.fingerprint in self.failed]
        return Outcome(
            judgments=[relabelled(self.journal.done[a.fingerprint], a, self.judge) for a in had],
            failed=[failure(a, self.judge, self.failed[a.fingerprint]) for a in failed],
            not_asked=len(self.asks) - len(had) - len(failed),
            reason=self.reason,
            retries=self.retries,
        )


def relabelled(record: dict, ask: Ask, judge: Judge) -> dict:
    """Return a journaled judgment as that of an ask which reads the same, perhaps of another model."""
    return {**record, **_identity(ask, judge), "finished": record["finished"]}


def judgment(ask: Ask, judge: Judge, reply: Reply) -> dict:
    """Return the record of a judgment that was had; without a rating it is null and the text kept."""
    value, text = rating.parse(reply.text)
    return {
        **_identity(ask, judge),
        "rating": value,
        "rating_text": text,
        "status": "unparsed" if value is None else "rated",
        "judgment": reply.text,
        "error": None,
        "answered_by": reply.answered_by,
        "finish_reason": reply.finish_reason,
        "tokens_in": reply.tokens_in,
        "tokens_out": reply.tokens_out,
        "usd": reply.usd,
        "attempts": reply.attempts,
        "seconds": round(reply.seconds, 3),
    }


def failure(ask: Ask, judge: Judge, error: JudgmentError) -> dict:
    """Return the record of a judgment that could not be had: reported, never scored, never journaled."""
    return {
        **_identity(ask, judge),
        "rating": None,
        "rating_text": None,
        "status": "failed",
        "judgment": None,
        "error": error.reason or "unknown",
        "answered_by": None,
        "finish_reason": None,
        "tokens_in": None,
        "tokens_out": None,
        "usd": 0.0,
        "attempts": error.attempts,
        "seconds": 0.0,
    }


def _identity(ask: Ask, judge: Judge) -> dict:
    return {
        "schema": 1,
        "question_id": ask.question_id,
        "category": ask.category,
        "turn": ask.turn,
        "repeat": ask.repeat,
        "prompt": ask.prompt,
        "judge": judge.name,
        "model": judge.model,
        "answer_model": ask.answer_model,
        "answer_id": ask.answer_id,
        "answer_sha256": ask.answer_sha256,
        "question_sha256": ask.question_sha256,
        "fingerprint": ask.fingerprint,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def say(outcome: Outcome, judge: Judge) -> str:
    """Return one line on what is missing and why, for the user."""
    reasons = Counter(row["error"] for row in outcome.failed)
    parts = [f"{count} failed ({reason})" for reason, count in reasons.most_common(3)]
    if outcome.not_asked:
        parts.append(f"{outcome.not_asked} not asked for")
    if outcome.reason:
        parts.append(outcome.reason)
    return f"{len(outcome.judgments)} judgments had, " + ", ".join(parts)


def estimate_text(numbers: dict) -> str:
    """Return an estimate as indented JSON."""
    return json.dumps(numbers, indent=1)
