"""Benchmarks of lm-eval beside the engine: a process prepares and scores each, and asks the engine through a pipe.

The engine then waits neither for requests to be built nor for answers to be scored, and what one benchmark draws at random
does not depend on the others. The processes are forked before the engine starts, so that none has a part of it.
"""

import contextlib
import logging
import multiprocessing
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch  # noqa: F401 (here and not in each process)
import transformers  # noqa: F401
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from edge2giant.engine import chat
from edge2giant.errors import UserError
from edge2giant.evaluate import tasks
from edge2giant.quantize.calibration import model_tokenizer
from edge2giant.specs.evaluate import BenchmarkSpec, EvaluateSpec

log = logging.getLogger(__name__)

AHEAD = 2
"""Benchmarks that are prepared while another runs; more would hold more requests in memory."""


@dataclass(frozen=True)
class ToAnswer:
    """Requests to the engine: their arguments, task and document; `last` where the benchmark asks nothing after them."""

    kind: str
    requests: list[tuple[tuple, str | None, int | None]]
    turns: bool
    last: bool


@dataclass(frozen=True)
class Scored:
    """A benchmark is done: what `tasks.answer` returned, and the seconds that preparing and scoring took."""

    made: dict[str, Any]
    prepare_seconds: float
    score_seconds: float


class Remote(chat.Chat, LM):
    """lm-eval's model in a process beside the engine: requests go to the engine's process, chats are rendered here."""

    tokenizer_name = ""
    """Names a cache of lm-eval that is not used."""

    def __init__(self, pipe: Connection, checkpoint: Path, settings: dict[str, Any]):
        super().__init__()
        self._pipe, self._checkpoint, self._kinds = pipe, checkpoint, set()
        self._ids: dict[str, list[int]] = {}
        self.chat, _ = chat.split(settings)
        self.began = self.prepared = self.answered = time.monotonic()

    @property
    def tokenizer(self) -> Any:
        """The checkpoint's tokenizer, for its chat template; None where no chat is asked, since loading it takes seconds."""
        if not self.answers_turns:
            return None
        if not hasattr(self, "_tokenizer"):
            self._tokenizer = model_tokenizer(self._checkpoint)
            self._tokenizer.chat_template = self.chat.template or self._tokenizer.chat_template
        return self._tokenizer

    def expect(self, kinds: set[str]) -> None:
        """Say which kinds of requests the benchmark has."""
        self._kinds = set(kinds)

    def loglikelihood(self, requests: list, disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        return self._ask("loglikelihood", requests)[0]

    def generate_until(self, requests: list, disable_tqdm: bool = False) -> list[str]:
        return self._ask("generate_until", requests)[0]

    def loglikelihood_rolling(self, requests: list, disable_tqdm: bool = False) -> list[float]:
        values, ids = self._ask("loglikelihood_rolling", requests)
        self._ids.update(zip((request.args[0] for request in requests), ids, strict=True))
        return values

    def tok_encode(self, text: str) -> list[int]:
        """Token ids of a text whose rolling log-likelihood was asked for."""
        return self._ids[text]

    def _ask(self, kind: str, requests: list) -> tuple:
        if self.prepared == self.began:
            self.prepared = time.monotonic()
        self._kinds.discard(kind)
        sent = [(request.args, request.task_name, request.doc_id) for request in requests]
        self._pipe.send(ToAnswer(kind, sent, self.answers_turns, last=not self._kinds))
        found = self._pipe.recv()
        self.answered = time.monotonic()
        return found


class Helper:
    """The process of one benchmark, as the engine's process sees it."""

    def __init__(self, benchmark: BenchmarkSpec, folder: Path, process: multiprocessing.Process, pipe: Connection):
        self.benchmark, self._folder, self._process, self._pipe = benchmark, folder, process, pipe
        self.after: Helper | None = None
        """The next one to begin, when this one's requests are there."""

    def begin(self) -> None:
        """Let it prepare its requests."""
        with contextlib.suppress(OSError):  # one that has ended says so when it is served
            self._pipe.send(None)

    def serve(self, lm: Any) -> float:
        """Answer all that it asks, and return the seconds that its requests were waited for.

        Raises
        ------
        Exception
            What the engine or the process raised.
        """
        waited, last = 0.0, False
        while not last:
            since = time.monotonic()
            try:
                message = self._receive()
            finally:
                if self.after:
                    self.after.begin()
                    self.after = None
            waited += time.monotonic() - since
            if isinstance(message, Scored):
                raise UserError("asks the model nothing", self.benchmark.name, "correct its tasks")
            self._answer(lm, message)
            last = message.last
        return waited

    def take(self, folder: Path) -> Scored:
        """Wait for the outcome and move its files into a folder."""
        found = self._receive()
        for path in self._folder.iterdir():
            path.rename(folder / path.name)
        return found

    def end(self) -> None:
        """End the process, whatever it does, and remove what it wrote."""
        self._process.terminate()
        self._process.join()
        self._pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answer(self, lm: Any, asked: ToAnswer) -> None:
        lm.answers_turns = asked.turns
        requests = [
            Instance(asked.kind, {}, arguments, at, (task, document, 1))
            for at, (arguments, task, document) in enumerate(asked.requests)
        ]
        values = getattr(lm, asked.kind)(requests)
        rolling = asked.kind == "loglikelihood_rolling"
        self._pipe.send((values, [lm.tok_encode(request.args[0]) for request in requests] if rolling else []))

    def _receive(self) -> ToAnswer | Scored:
        try:
            message = self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            what = f"the process that prepares and scores it ended (exit code {self._process.exitcode})"
            raise UserError(what, self.benchmark.name, "give the job more memory, or see the log above") from None
        if isinstance(message, Exception):
            raise message
        return message


@contextlib.contextmanager
def started(
    spec: EvaluateSpec, benchmarks: Sequence[BenchmarkSpec], checkpoint: Path, store: Path, folders: Mapping[str, Path]
) -> Iterator[dict[str, Helper]]:
    """Fork a process for each of these benchmarks, which are of lm-eval; by name. The first ones begin at once.

    Parameters
    ----------
    checkpoint : path
        For its tokenizer.
    folders : mapping
        Where the files of each are written until they are taken.
    """
    forking = multiprocessing.get_context("fork")
    pipes = [forking.Pipe() for one in benchmarks]
    helpers: list[Helper] = []
    try:
        for one, (ours, theirs) in zip(benchmarks, pipes, strict=True):
            folder = folders[one.name]
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            # a pipe ends with the last process that holds it: each process keeps its own end alone
            others = [end for pair in pipes for end in pair if end is not theirs]
            process = forking.Process(target=_work, args=(theirs, others, spec, one, checkpoint, store, folder), daemon=True)
            process.start()
            helpers.append(Helper(one, folder, process, ours))
        for _, theirs in pipes:
            theirs.close()
        for helper, after in zip(helpers, helpers[AHEAD:], strict=False):
            helper.after = after
        for helper in helpers[:AHEAD]:
            helper.begin()
        yield {helper.benchmark.name: helper for helper in helpers}
    finally:
        for helper in helpers:
            helper.end()


def _work(
    pipe: Connection,
    others: list[Connection],
    spec: EvaluateSpec,
    benchmark: BenchmarkSpec,
    checkpoint: Path,
    store: Path,
    folder: Path,
) -> None:
    """Prepare a benchmark's requests, ask for their answers, score them and write the files of its entry."""
    for end in others:
        end.close()
    try:
        pipe.recv()
        lm = Remote(pipe, checkpoint, spec.engine.settings)
        made = tasks.answer(lm, spec.variant, benchmark, store, folder)
        pipe.send(Scored(made, lm.prepared - lm.began, time.monotonic() - lm.answered))
    except (EOFError, ConnectionError):  # the engine's process is gone
        return
    except UserError as error:
        pipe.send(error)
    except Exception as error:
        log.exception("%s failed", benchmark.name)
        pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))
