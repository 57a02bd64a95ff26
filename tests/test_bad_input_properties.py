"""Whatever stands in a config, cell, lock or answer file: it is read, or refused in one line. Never a traceback."""

import copy
import json
import shutil

import pytest
import yaml
from edge2giant import config, jsonl, records, store, typed
from edge2giant.errors import UserError
from edge2giant.plan import quantize
from edge2giant.records.cell import CellRecord
from edge2giant.records.mt_bench import Answer
from factories import make_cell
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared import ROOT

FILES = [
    "models",
    "benchmarks",
    "protocols",
    "stacks",
    "clusters",
    "calibration",
    "recipes",
    "judges",
    "workload",
    "published/claims",
    "published/grids",
    "studies/smoke",
    "studies/paper",
]
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**12)
    | st.floats()
    | WORDS
    | st.sampled_from(["fp16/w16a16", "mt_bench", "../x", "", "~"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=4,
)


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Paths of everything in a document."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in below for place in places(inner, (*path, key)))]


@st.composite
def changed(draw, document: object) -> object:
    """A document with one to three things in it removed, replaced, renamed or put elsewhere."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(document)))
        if not path:
            return draw(VALUES)
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        how = draw(st.sampled_from(["remove", "replace", "rename", "copy"]))
        if how == "remove":
            del holder[path[-1]]
        elif how == "replace" or isinstance(holder, list):
            holder[path[-1]] = draw(VALUES)
        else:
            holder[draw(WORDS)] = copy.deepcopy(holder[path[-1]])
            if how == "rename":
                holder.pop(path[-1], None)
    return document


def one_line_or_none(call) -> None:
    try:
        call()
    except UserError as error:
        text = str(error)
        assert text.strip() and "\n" not in text


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    shutil.copytree(ROOT / "config", folder / "config", ignore=shutil.ignore_patterns("miniature", "lock"))
    return folder


@pytest.mark.parametrize("name", FILES)
def test_a_changed_config_file_is_read_or_refused(root, name):
    path = root / f"config/{name}.yaml"
    original = path.read_text(encoding="utf-8")

    @QUICK
    @given(changed(yaml.safe_load(original)))
    def check(document):
        path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        one_line_or_none(lambda: _use(config.load(root)))

    try:
        check()
    finally:
        path.write_text(original, encoding="utf-8")


def _use(loaded: config.Config) -> None:
    """What every phase reads of a config that was accepted."""

    for study in loaded.studies.values():
        assert study.cells
        for variant in study.variants[:3]:
            assert quantize.checkpoint_spec(loaded, study, variant).folder
            for name in study.benchmarks_of(variant):
                assert loaded.benchmark(study, name).label


@QUICK
@given(text=st.binary(max_size=60) | WORDS.map(str.encode))
def test_any_bytes_as_a_study_are_read_or_refused(root, text):
    path = root / "config/studies/noise.yaml"
    path.write_bytes(text)
    try:
        one_line_or_none(lambda: config.load(root))
    finally:
        path.unlink()


@QUICK
@given(document=changed(make_cell()), cut=st.integers(0, 4000) | st.none())
def test_a_changed_cell_is_read_or_refused(tmp_path_factory, document, cut):
    from edge2giant.paper import frames

    path = tmp_path_factory.mktemp("cell") / "cell.json"
    path.write_text(json.dumps(document)[:cut], encoding="utf-8")

    def read():
        frames.scores_of(frames.read_cells([path]))

    one_line_or_none(read)


LOCK = {"id": ["org/x"], "source": "hub", "revision": "r", "files": {"a/b.json": {"bytes": 2, "sha256": "0" * 64}}}


@QUICK
@given(document=changed(LOCK), cut=st.integers(0, 200) | st.none())
def test_a_changed_lock_is_read_or_refused(tmp_path_factory, document, cut):
    path = tmp_path_factory.mktemp("lock") / "x.lock.json"
    path.write_text(json.dumps(document)[:cut], encoding="utf-8")
    one_line_or_none(lambda: store.check(path, path.parent, hashes=True))


@QUICK
@given(name=st.text(max_size=20))
def test_a_name_that_is_accepted_stays_in_its_folder(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("inside")
    try:
        accepted = store.plain_name(name, "lock")
    except UserError:
        return
    assert (folder / accepted).resolve().is_relative_to(folder.resolve())


@QUICK
@given(text=st.binary(max_size=80))
def test_any_bytes_as_a_record_are_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("record") / "x.json"
    path.write_bytes(text)
    one_line_or_none(lambda: typed.as_json(records.read(path, CellRecord)))
    one_line_or_none(lambda: list(jsonl.read(path, Answer)))
