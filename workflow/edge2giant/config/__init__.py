"""Typed models of every file in `config/`, and the checks between files. For the workflow environment only."""

from edge2giant.config.loading import FILES, Config, check_run, load
from edge2giant.config.run import RunSettings
from edge2giant.config.studies import Study, StudyFile

__all__ = ["FILES", "Config", "RunSettings", "Study", "StudyFile", "check_run", "load"]
