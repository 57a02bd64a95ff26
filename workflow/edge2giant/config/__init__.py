"""Typed models of every file in `config/`, and the checks between files. For the workflow environment only."""

from edge2giant.config.errors import unknown
from edge2giant.config.loading import FILES, ROOT, Config, load, read_run
from edge2giant.config.run import Run
from edge2giant.config.studies import Study, StudyFile

__all__ = ["FILES", "ROOT", "Config", "Run", "Study", "StudyFile", "load", "read_run", "unknown"]
