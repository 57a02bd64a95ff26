"""Command line of the judge: `python -m edge2giant.judge COMMAND --help`."""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path

from edge2giant import errors, failures, jsonl, specs
from edge2giant.errors import UserError
from edge2giant.specs.judge import JudgeService, JudgeSpec

STOPS = (signal.SIGINT, signal.SIGTERM)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    return options.run(options) or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edge2giant.judge", description="MT-Bench judging")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _rate_parser(commands)
    _noise_parser(commands)
    _inspect_parser(commands)
    return parser


def _rate_parser(commands) -> None:
    parser = commands.add_parser("rate", help="rate answers, each judgment once; resumes from the judgment cache")
    add = parser.add_argument
    specs.add_arguments(parser)
    add("--service", required=True, help="results/services/<judge>.json: address, key file, price, limits")
    add("--answers", required=True, help="answers.jsonl (FastChat's format)")
    add("--data", required=True, help="folder of question.jsonl, reference_answer.jsonl, judge_prompts.jsonl")
    add("--judgment-cache", required=True, help="folder that keeps finished judgments; runs may share it")
    add("--failures", help="results/failures: a failure leaves its reason there")
    add("--out", required=True, help="judgments.jsonl to write when all judgments are finished")
    add("--allow-failed", type=int, default=0, metavar="N", help="write --out although up to N judgments failed")
    add("--dry-run", action="store_true", help="print calls, tokens and cost as JSON; call nobody")
    parser.set_defaults(run=rate)


def _noise_parser(commands) -> None:
    parser = commands.add_parser("noise", help="how far to trust ratings: repeats, intervals, judges, length")
    add = parser.add_argument
    add("--judgments", required=True, help="judgments.jsonl of the model in question (usually quantized)")
    add("--baseline", help="judgments.jsonl of the model that it is paired with (usually FP16)")
    add("--other", help="judgments.jsonl of the same answers by another judge")
    add("--answers", help="answers.jsonl of the model in question, for the sensitivity to length")
    add("--baseline-answers", help="answers.jsonl of the baseline")
    add("--out-json", required=True)
    add("--out-csv", required=True)
    parser.set_defaults(run=noise)


def _inspect_parser(commands) -> None:
    parser = commands.add_parser("inspect", help="one offline page: two models' answers side by side")
    add = parser.add_argument
    add("--data", required=True, help="folder of questions and references")
    add("--answers-a", required=True)
    add("--answers-b", required=True)
    add("--judgments-a", required=True)
    add("--judgments-b", required=True)
    add("--title-a", help="name of A (default: the model_id of its answers)")
    add("--title-b", help="name of B")
    add("--out", required=True, help="HTML file to write")
    parser.set_defaults(run=inspect)


def rate(options: argparse.Namespace) -> int:
    """Rate answers; exit code 2 when a judgment is missing (finished ones stay in the cache)."""
    spec = specs.of_arguments(options, JudgeSpec)
    service = read_service(options.service, spec)
    if not options.failures:
        return _rate(options, spec, service)
    with failures.recorded(options.failures, spec.study, spec.variant, "judge"):
        return _rate(options, spec, service)


def read_service(path: str, spec: JudgeSpec) -> JudgeService:
    """Read the file that says how the spec's judge is reached.

    Raises
    ------
    UserError
        If it cannot be read or belongs to another judge.
    """
    hint = "run snakemake again: planning writes it"
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read ({error})", path, hint) from None
    service = specs.typed.build(JudgeService, content, path)
    if service.judge != spec.judge:
        raise UserError(f"belongs to judge {service.judge}, the spec names {spec.judge}", path, hint)
    return service


def _rate(options: argparse.Namespace, spec: JudgeSpec, service: JudgeService) -> int:
    from edge2giant.judge import budget, judgment_cache, material
    from edge2giant.judge.rate import Judging
    from edge2giant.judge.requests import requests_of
    from edge2giant.judge.service import address, api_key

    bench = material.load_bench(options.data)
    answers = material.load_answers(options.answers)
    material.check_complete(bench, answers, options.answers)
    requests = requests_of(bench, answers, spec)
    folder = Path(options.judgment_cache)
    if options.dry_run:
        print(json.dumps(budget.estimate(requests, judgment_cache.peek(folder), spec, service), indent=1))
        return 0
    accounts = budget.NoLedger() if service.free else budget.Ledger(folder / f"ledger-{spec.judge}.jsonl", service.limit_usd)
    with _gentle_stop(), judgment_cache.JudgmentCache(folder) as cache, accounts as ledger:
        judging = Judging(requests, spec, service, cache, ledger)
        if judging.waiting:
            key = api_key(service)
            with address(service, spec.model) as url:
                outcome = judging.run(url, key)
        else:
            outcome = judging.outcome()
    return _deliver(outcome, spec, options)


@contextlib.contextmanager
def _gentle_stop():
    """Let a first interrupt finish the calls in flight, which are paid for, and a second end everything."""

    def first(*_) -> None:
        for sign in STOPS:
            signal.signal(sign, lambda *_: os._exit(130))
        message = "interrupted: finishing the calls in flight; interrupt again to drop them"
        print(message, file=sys.stderr, flush=True)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {sign: signal.signal(sign, first) for sign in STOPS}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _deliver(outcome, spec: JudgeSpec, options: argparse.Namespace) -> int:
    from edge2giant.judge.rate import summary

    if outcome.not_requested or len(outcome.failed) > options.allow_failed:
        hint = "run the same command again: finished judgments are not requested again"
        raise UserError(summary(outcome), f"judge {spec.judge}", hint)
    rows = sorted(outcome.judgments + outcome.failed, key=lambda r: (r["question_id"], r["turn"], r["repeat"]))
    jsonl.write(options.out, rows, "judgment")
    unparsed = sum(row["status"] == "unparsed" for row in rows)
    print(
        f"judge {spec.judge}: {len(rows)} judgments written, {unparsed} without a rating, {len(outcome.failed)} failed",
        file=sys.stderr,
    )
    return 0


def noise(options: argparse.Namespace) -> int:
    """Write the noise measures as JSON and as a flat CSV."""
    from edge2giant.judge import noise as measuring

    measuring.command(options)
    return 0


def inspect(options: argparse.Namespace) -> int:
    """Write the page that shows two models side by side."""
    from edge2giant.judge import inspection

    inspection.command(options)
    return 0


if __name__ == "__main__":
    sys.exit(errors.run(main))
