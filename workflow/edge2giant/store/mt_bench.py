"""MT-Bench's files out of FastChat's public repository, under the names that the store gives them."""

import shutil
from pathlib import Path

FILES = {
    "fastchat/llm_judge/data/mt_bench/question.jsonl": "question.jsonl",
    "fastchat/llm_judge/data/mt_bench/reference_answer/gpt-4.jsonl": "reference_answer.jsonl",
    "fastchat/llm_judge/data/judge_prompts.jsonl": "judge_prompts.jsonl",
}


def arrange(raw: Path, into: Path) -> None:
    """Copy the files from `raw` into the flat folder `into`."""
    into.mkdir(parents=True)
    for name, kept in FILES.items():
        shutil.copyfile(raw / name, into / kept)
