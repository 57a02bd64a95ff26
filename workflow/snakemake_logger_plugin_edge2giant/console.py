"""Lines for a terminal or a log about the jobs of a run. Standard library only."""

import os
import re
import shutil
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

RED, GREEN, YELLOW, DIM, PLAIN = "\033[31m", "\033[32m", "\033[33m", "\033[2m", "\033[0m"
LAST_LINES = 8
QUIET_SECONDS = 600
"""How often a log that is no terminal says what runs."""
VARIANT = ("model", "method", "bits")
SHOWN = ("benchmark", "batch", "number", "data", "name")
BAR = re.compile(r"\d+%\|.*\||\b\d+(\.\d+)?(it|s)/(s|it)\b|^\s*\d+%\s|\[\d+:\d\d[,<].*/s\]$")
STATUS = re.compile(r"returned non-zero exit status (\d+)")
EXCEPTION = re.compile(r"^(\w+\.)*\w*(Error|Exception|Interrupt|Killed)\b.*")
NO_REASON = "it ended with an error and left no reason"


@dataclass
class Job:
    """A job that runs."""

    name: str
    rule: str
    began: float
    shown: bool


@dataclass
class Console:
    """Writes a line when a job has ended, and in a terminal a last line that says what runs.

    Parameters
    ----------
    stream : file
        Where to.
    colours : bool
        Whether they are wanted; only a terminal gets them.
    now, clock : callable
        Seconds that only grow, and seconds since the epoch.
    """

    stream: TextIO
    colours: bool = True
    now: Callable[[], float] = time.monotonic
    clock: Callable[[], float] = time.time
    jobs: dict[int, Job] = field(default_factory=dict)
    planned_of: Counter = field(default_factory=Counter)
    took: defaultdict = field(default_factory=lambda: defaultdict(list))
    done: int = 0
    total: int = 0

    def __post_init__(self):
        self.terminal = bool(getattr(self.stream, "isatty", lambda: False)()) and os.environ.get("TERM") != "dumb"
        self.colours = self.colours and self.terminal
        self.began = self.said = self.now()
        self.status = ""
        self.status_of_last: int | None = None

    # --- events -----------------------------------------------------------------------------------------------------

    def planned(self, stats: Mapping[str, int]) -> None:
        """The number of jobs of each rule; `total` is the sum."""
        self.planned_of = Counter({rule: count for rule, count in stats.items() if rule != "total"})
        self.total = sum(self.planned_of.values())
        kinds = ", ".join(f"{count} {words(rule)}" for rule, count in self.planned_of.most_common())
        self.say(f"{self.total} jobs: {kinds}")

    def would_run(self, info: Mapping[str, Any]) -> None:
        """A job of a dry run."""
        if _makes_something(info):
            self.say(f"would run  {name_of(info)}")

    def started(self, info: Mapping[str, Any]) -> None:
        self.jobs[info["jobid"]] = Job(name_of(info), info["rule_name"], self.now(), _makes_something(info))
        self.draw()

    def progress(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        self.draw()

    def finished(self, jobid: int) -> None:
        self.done += 1
        if job := self.jobs.pop(jobid, None):
            seconds = self.now() - job.began
            self.took[job.rule].append(seconds)
            if job.shown:
                self.say(f"{self._place()} {job.name}  {duration(seconds)}{self._rest()}", GREEN)

    def failed(self, info: Mapping[str, Any]) -> None:
        """A job that failed: its reason, the end of its log, where that lies, and what to do."""
        job = self.jobs.pop(info["jobid"], None)
        name, after = (job.name, f" after {duration(self.now() - job.began)}") if job else (words(info["rule_name"]), "")
        logs = [path for given in info.get("log") or () if (path := Path(given.split(" ")[0])).is_file()]
        lines = [line for path in logs for line in read(path)]
        (reason, hint), self.status_of_last = reason_of(lines, self.status_of_last), None
        self.say(f"{self._place()} FAILED {name}{after}: {reason}", RED, whole=True)
        for line in lines[-LAST_LINES:]:
            self.say(f"    | {line}", DIM)
        for path in logs:
            self.say(f"    log   {path}", whole=True)
        if hint:
            self.say(f"    hint  {hint}", YELLOW, whole=True)

    def warn(self, text: str, error: bool = False) -> None:
        """A message of Snakemake itself, without its blank lines."""
        for line in text.splitlines():
            if line.strip():
                self.say(line.rstrip(), RED if error else YELLOW, whole=True)

    def tick(self) -> None:
        """Called each second: a terminal shows the time; a log gets a line when nothing was said for long."""
        if self.terminal:
            self.draw()
        elif self.jobs and self.now() - self.said >= QUIET_SECONDS:
            self.say(self._running())

    def ended_with(self, text: str) -> None:
        """Snakemake's message that a command failed; the job's own event follows it."""
        found = STATUS.search(text)
        self.status_of_last = int(found[1]) if found else None

    # --- lines ------------------------------------------------------------------------------------------------------

    def say(self, text: str, colour: str = "", whole: bool = False) -> None:
        """Write a line; one that must not be cut is `whole`."""
        self.clear()
        text = text if whole else self._cut(text)
        self.stream.write(f"{colour}{text}{PLAIN}\n" if self.colours and colour else f"{text}\n")
        self.stream.flush()
        self.said = self.now()
        self.draw()

    def draw(self) -> None:
        """Write the last line of a terminal anew."""
        if self.terminal and self.jobs and (text := self._cut(self._running())) != self.status:
            self.stream.write(f"\r\033[K{text}")
            self.stream.flush()
            self.status = text

    def clear(self) -> None:
        """Take the last line of a terminal away."""
        if self.status:
            self.stream.write("\r\033[K")
            self.stream.flush()
            self.status = ""

    def _running(self) -> str:
        shown = [job for job in self.jobs.values() if job.shown]
        return f"{self._place()} runs: " + "; ".join(f"{job.name} {duration(self.now() - job.began)}" for job in shown)

    def _place(self) -> str:
        width = len(str(self.total))
        return f"[{self.done:>{width}}/{self.total}]"

    def _rest(self) -> str:
        """How many jobs remain, and when they will be done by the time that jobs of their rules took."""
        left = self.total - self.done
        if left <= 0:
            return "  all done"
        seconds = self.remaining()
        when = "" if seconds is None else f", until about {time.strftime('%H:%M', time.localtime(self.clock() + seconds))}"
        return f"  {left} left{when}"

    def remaining(self) -> float | None:
        """Seconds that the rest takes; None while most of it is of rules of which no job has ended."""
        spent = sum(map(sum, self.took.values()))
        at_once = max(1.0, spent / max(self.now() - self.began, 1e-9))
        left = {rule: count - len(self.took[rule]) for rule, count in self.planned_of.items() if count > len(self.took[rule])}
        unknown = sum(count for rule, count in left.items() if not self.took[rule])
        if not spent or 2 * unknown > sum(left.values()):
            return None
        mean = {rule: sum(self.took[rule]) / len(self.took[rule]) for rule in left if self.took[rule]}
        return sum(left[rule] * mean[rule] for rule in mean) / at_once

    def _cut(self, text: str) -> str:
        if not self.terminal:
            return text
        width = shutil.get_terminal_size().columns - 1
        return text if len(text) <= width else f"{text[: width - 1]}\N{HORIZONTAL ELLIPSIS}"


def _makes_something(info: Mapping[str, Any]) -> bool:
    return bool(info.get("shellcmd") or info.get("output"))


def words(rule: str) -> str:
    return rule.replace("_", " ")


def name_of(info: Mapping[str, Any]) -> str:
    """What a job does, and for which variant: by its rule's message, else by its name and wildcards."""
    if info.get("rule_msg"):
        return " ".join(str(info["rule_msg"]).split())
    found = info.get("wildcards") or {}
    variant = "/".join(found[key] for key in VARIANT if key in found)
    return " ".join([words(info["rule_name"]), *filter(None, [variant, *(found[key] for key in SHOWN if key in found)])])


def duration(seconds: float) -> str:
    """Such as `42 s`, `3:07` or `2:10:00`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def read(path: Path) -> list[str]:
    """Lines of a log without progress bars, terminal codes and blank lines."""
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        return list(plain(stream.read().replace("\r\n", "\n").split("\n")))


def plain(lines: Iterable[str]) -> Iterable[str]:
    """Of what a line was rewritten to, the last; bars are dropped."""
    for line in lines:
        last = re.sub(r"\033\[[0-9;?]*[A-Za-z]", "", line).rstrip().split("\r")[-1].rstrip()
        if last and not BAR.search(last):
            yield last


def signal_of(status: int | None) -> str:
    """What an exit status above 128 says; an empty text for others."""
    if status is None or status <= 128:
        return ""
    try:
        name = signal.Signals(status - 128).name
    except ValueError:
        return ""
    return f"it was ended by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")


def reason_of(lines: list[str], status: int | None = None) -> tuple[str, str]:
    """The reason that a log ends with, in one line, and what to do about it if it says so; else what the exit status says.

    >>> reason_of(["x", "error: my/models.yaml, a: is wrong; correct it there"])
    ('my/models.yaml, a: is wrong', 'correct it there')
    """
    for begins in ("error: ", ""):
        for line in reversed(lines):
            if begins and line.startswith(begins):
                reason, _, hint = line.removeprefix(begins).rpartition("; ")
                return (reason, hint) if reason else (hint, "")
            if not begins and EXCEPTION.match(line):
                return line, ""
    return signal_of(status) or (lines[-1] if lines else NO_REASON), ""
