"""Command line of the judge: `python -m edge2giant.judge COMMAND --help`."""

import argparse
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from edge2giant import errors, failures, jsonl, specs
from edge2giant.errors import UserError
from edge2giant.judge import budget, material
from edge2giant.judge.judgment_cache import JudgmentCache
from edge2giant.judge.rate import Judging, Outcome
from edge2giant.judge.requests import JudgmentRequest, requests_of
from edge2giant.judge.service import address, api_key
from edge2giant.records.mt_bench import Judgment
from edge2giant.specs.judge import JudgeService, JudgeSpec

STOPS = (signal.SIGINT, signal.SIGTERM)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m edge2giant.judge", description="MT-Bench judging")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("rate", help="rate answers, each judgment once; resumes from the judgment cache")
    specs.add_arguments(one)
    one.add_argument("--service", required=True, help="results/services/<judge>.json: address, key file, price, limits")
    one.add_argument("--answers", required=True, help="answers.jsonl (FastChat's format)")
    one.add_argument("--data", required=True, help="folder of question.jsonl, reference_answer.jsonl, judge_prompts.jsonl")
    one.add_argument("--judgment-cache", required=True, type=Path, help="folder that keeps finished judgments; runs may share it")
    one.add_argument("--failures", required=True, help="results/failures: a failure leaves its reason there")
    one.add_argument("--out", required=True, help="judgments.jsonl to write when all judgments are finished")
    one.add_argument("--allow-failed", type=int, default=0, metavar="N", help="write --out although up to N judgments failed")
    one.add_argument("--dry-run", action="store_true", help="print calls, tokens and cost as JSON; call nobody")
    one.set_defaults(run=rate)

    one = commands.add_parser("noise", help="how far to trust ratings: repeats, intervals, judges, length")
    one.add_argument("--judgments", required=True, help="judgments.jsonl of the model in question (usually quantized)")
    one.add_argument("--baseline", help="judgments.jsonl of the model that it is paired with (usually FP16)")
    one.add_argument("--other", help="judgments.jsonl of the same answers by another judge")
    one.add_argument("--answers", help="answers.jsonl of the model in question, for the sensitivity to length")
    one.add_argument("--baseline-answers", help="answers.jsonl of the baseline")
    one.add_argument("--out-json", required=True)
    one.add_argument("--out-csv", required=True)
    one.set_defaults(run=noise)

    one = commands.add_parser("inspect", help="one offline page: two models' answers side by side")
    one.add_argument("--data", required=True, help="folder of questions and references")
    for side in "ab":
        one.add_argument(f"--answers-{side}", required=True)
        one.add_argument(
            f"--judgments-{side}", nargs="?", help="judgments.jsonl; without it the page shows no rating of this side"
        )
    one.add_argument("--out", required=True, help="HTML file to write")
    one.set_defaults(run=inspect)
    return top


def noise(options: argparse.Namespace) -> None:
    from edge2giant.judge import noise

    noise.command(options)


def inspect(options: argparse.Namespace) -> None:
    from edge2giant.judge import inspection

    inspection.command(options)


def rate(options: argparse.Namespace) -> None:
    """Rate answers; finished judgments stay in the cache where one is missing."""
    spec = specs.of_arguments(options, JudgeSpec)
    service = specs.read_service(options.service, JudgeService)
    if service.judge != spec.judge:
        what = f"belongs to judge {service.judge}, the spec names {spec.judge}"
        raise UserError(what, options.service, "run snakemake again: planning writes it")
    if options.dry_run:
        done = set()
        if options.judgment_cache.exists():
            with JudgmentCache(options.judgment_cache) as cache:
                done = set(cache.done)
        print(json.dumps(budget.estimate(read_requests(options, spec), done, spec, service), indent=1))
        return
    with failures.recorded(options.failures, spec.study, spec.variant, "judge"):
        requests = read_requests(options, spec)
        outcome = judge(requests, spec, service, options.judgment_cache)
        if outcome.not_requested or len(outcome.failed) > options.allow_failed:
            hint = "run the same command again: finished judgments are not requested again"
            raise UserError(outcome.summary(), f"judge {spec.judge}", hint)
        write(options.out, outcome, spec)


def read_requests(options: argparse.Namespace, spec: JudgeSpec) -> list[JudgmentRequest]:
    """Requests about all answers, which must be complete."""
    bench = material.load_bench(options.data)
    answers = material.load_answers(options.answers)
    material.check_complete(bench, answers, options.answers)
    return requests_of(bench, answers, spec)


def judge(requests: list[JudgmentRequest], spec: JudgeSpec, service: JudgeService, folder: Path) -> Outcome:
    """Get the judgments that the cache in `folder` lacks; no key is read and no server started when it lacks none."""
    accounts = budget.NoLedger() if service.free else budget.Ledger(folder / f"ledger-{spec.judge}.jsonl", service.limit_usd)
    with _gentle_stop(), JudgmentCache(folder) as cache, accounts as ledger:
        judging = Judging(requests, spec, service, cache, ledger)
        if not judging.waiting:
            return judging.outcome()
        key = api_key(service)
        with address(service, spec.model) as url:
            return judging.run(url, key)


@contextlib.contextmanager
def _gentle_stop():
    """Let a first interrupt finish the calls in flight, which are paid for, and a second end everything."""

    def first(*_) -> None:
        for sign in STOPS:
            signal.signal(sign, lambda *_: os._exit(130))
        message = "interrupted: finishing the calls in flight; interrupt again to drop them"
        print(message, file=sys.stderr, flush=True)
        raise KeyboardInterrupt

    before = {sign: signal.signal(sign, first) for sign in STOPS}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def write(path: str, outcome: Outcome, spec: JudgeSpec) -> None:
    """Write the judgments in the order of questions, turns and repeats."""
    rows = sorted(outcome.judgments + outcome.failed, key=lambda r: (r["question_id"], r["turn"], r["repeat"]))
    jsonl.write(path, rows, Judgment)
    unparsed = sum(row["status"] == "unparsed" for row in rows)
    twice = sum("last_rating" in row for row in rows)
    counts = f"{len(rows)} judgments written, {unparsed} without a rating, {twice} with two, {len(outcome.failed)} failed"
    print(f"judge {spec.judge}: {counts}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    options.run(options)


if __name__ == "__main__":
    sys.exit(errors.run(main))
