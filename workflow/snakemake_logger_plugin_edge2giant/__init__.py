"""`snakemake --logger edge2giant`: one line a job.

Snakemake finds this package by its name on PYTHONPATH, which `workflow/in-env` sets. It needs Snakemake's interface for loggers,
and nothing of edge2giant.
"""

import logging
import os
import sys
import threading

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_edge2giant.console import Console

__all__ = ["LogHandler"]

FAILED = "returned non-zero exit status"
SAID = ("Nothing to be done", "Trying to restart", "Will exit after", "Unlocking")
"""Beginnings of Snakemake's plain messages that are shown; the others are steps of its own."""


class LogHandler(LogHandlerBase):
    """Hands Snakemake's events to a `Console`, one at a time."""

    def __post_init__(self) -> None:
        stream = sys.stdout if self.common_settings.stdout else sys.stderr
        self.console = Console(stream, colours=not self.common_settings.nocolor and not os.environ.get("NO_COLOR"))
        self._one_at_a_time = threading.RLock()
        self._ended = threading.Event()
        if not self.common_settings.dryrun:
            threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        while not self._ended.wait(1):
            with self._one_at_a_time:
                self.console.tick()

    def emit(self, record: logging.LogRecord) -> None:
        with self._one_at_a_time:
            try:
                self._show(record)
            except Exception:
                self.handleError(record)

    def _show(self, record: logging.LogRecord) -> None:
        event, console, given = getattr(record, "event", None), self.console, vars(record)
        if event == LogEvent.RUN_INFO:
            console.planned(given["stats"])
        elif event == LogEvent.JOB_INFO and self.common_settings.dryrun:
            console.would_run(given)
        elif event == LogEvent.JOB_INFO:
            console.started(given)
        elif event == LogEvent.JOB_FINISHED:
            console.finished(given["job_id"])
        elif event == LogEvent.PROGRESS:
            console.progress(given["done"], given["total"])
        elif event == LogEvent.JOB_ERROR:
            console.failed(given)
        elif event == LogEvent.SHELLCMD and self.common_settings.printshellcmds:
            console.say(given.get("shellcmd") or "")
        elif FAILED in record.getMessage():
            console.ended_with(record.getMessage())  # the whole command; the job's own event follows
        elif event in (None, LogEvent.ERROR) and record.levelno >= logging.WARNING:
            console.warn(record.getMessage(), error=record.levelno >= logging.ERROR)
        elif event is None and str(record.msg).startswith(SAID):
            console.say(record.getMessage())

    def close(self) -> None:
        self._ended.set()
        with self._one_at_a_time:
            self.console.clear()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        return True

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        return True

    @property
    def has_formatter(self) -> bool:
        return True

    @property
    def needs_rulegraph(self) -> bool:
        return False
