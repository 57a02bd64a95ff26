"""Typed models of every file in `config/`, and the checks between files. For the workflow environment only."""

from edge2giant.config.checks import check_names
from edge2giant.config.errors import unknown
from edge2giant.config.loading import FILES, ROOT, Config, load
from edge2giant.config.run import RunSettings, check_run
from edge2giant.config.studies import Study, StudyFile

__all__ = ["FILES", "ROOT", "Config", "RunSettings", "Study", "StudyFile", "check_names", "check_run", "load", "unknown"]
