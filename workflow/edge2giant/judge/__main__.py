"""Command line of the judge: `python -m edge2giant.judge COMMAND --help`."""

import argparse
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path

from edge2giant import errors, failures, grid, jsonl, records
from edge2giant.errors import UserError

STOPS = (signal.SIGINT, signal.SIGTERM)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    return options.run(options) or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edge2giant.judge", description="MT-Bench judging")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _rate_parser(commands)
    _score_parser(commands)
    _noise_parser(commands)
    _inspect_parser(commands)
    return parser


def _rate_parser(commands) -> None:
    parser = commands.add_parser("rate", help="rate answers, each judgment once; resumes from its journal")
    add = parser.add_argument
    add("--answers", required=True, help="answers.jsonl (FastChat's format)")
    add("--data", required=True, help="folder of question.jsonl, reference_answer.jsonl, judge_prompts.jsonl")
    add("--judge", required=True, help="entry of judges.yaml")
    add("--config", default="config/judges.yaml", help="judges.yaml (default: %(default)s)")
    add("--journal", required=True, help="folder that keeps finished judgments; runs may share it")
    add("--out", required=True, help="judgments.jsonl to write when all judgments are had")
    add("--base-url", help="address to use instead of the entry's, up to /v1; nothing is started then")
    add("--model-path", help="what {model} stands for in the entry's serve command")
    add("--key-file", help="file whose first line is the API key, instead of the entry's")
    add("--repeats", type=_positive, help="judgments of each turn, instead of the entry's number")
    add("--concurrency", type=_positive, help="requests at a time, instead of the entry's number")
    add("--limit-usd", type=_amount, help="spending cap of the ledger, instead of the entry's")
    add(
        "--ledger",
        help="books of the money spent, under one cap (default: ledger-JUDGE.jsonl in the journal)",
    )
    add("--allow-failed", type=int, default=0, metavar="N", help="write --out although up to N were not had")
    add("--failures", help="results/failures: a failure leaves its reason there; takes --row")
    add("--row", type=_row, metavar="STUDY/MODEL/METHOD/BITS", help="whose answers they are")
    add("--dry-run", action="store_true", help="state calls, tokens and cost as JSON; call nobody")
    parser.set_defaults(run=rate)


def _score_parser(commands) -> None:
    parser = commands.add_parser("score", help="mean ratings: overall, by turn, by category")
    parser.add_argument("--judgments", required=True)
    parser.add_argument("--answers", help="answers.jsonl, for the per-question table's predictions")
    parser.add_argument("--out-parts", required=True, help="JSON to write")
    parser.add_argument("--out-samples", help="per-question table (Parquet) to write")
    parser.set_defaults(run=score)


def _noise_parser(commands) -> None:
    parser = commands.add_parser("noise", help="how far to trust ratings: repeats, intervals, judges, length")
    add = parser.add_argument
    add("--judgments", required=True, help="judgments.jsonl of the model in question (usually quantized)")
    add("--baseline", help="judgments.jsonl of the model that it is paired with (usually FP16)")
    add("--other", help="judgments.jsonl of the same answers by another judge")
    add("--answers", help="answers.jsonl of the model in question, for the sensitivity to length")
    add("--baseline-answers", help="answers.jsonl of the baseline")
    add("--resamples", type=_positive, default=10_000, help="bootstrap resamples (default: %(default)s)")
    add("--confidence", type=float, default=0.95, help="level of the intervals (default: %(default)s)")
    add("--seed", type=int, default=0, help="seed of the bootstrap (default: %(default)s)")
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


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _amount(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("must be an amount of USD")
    return value


def _row(text: str) -> tuple[str, grid.Row]:
    study, *row = text.split("/")
    if len(row) != 3:
        raise argparse.ArgumentTypeError(f"'{text}' is no STUDY/MODEL/METHOD/BITS")
    return study, grid.Row(*row)


def rate(options: argparse.Namespace) -> int:
    """Rate answers; exit code 2 when a judgment is missing (what was had stays in the journal)."""
    if bool(options.failures) != bool(options.row):
        raise UserError("--failures and --row go together", hint="give both or neither")
    if not options.failures:
        return _rate(options)
    study, row = options.row
    with failures.recorded(options.failures, study, row, "judge"):
        return _rate(options)


def _rate(options: argparse.Namespace) -> int:
    from edge2giant.judge import asks, config, journal, local, material
    from edge2giant.judge import rate as rating

    judge = config.load(options.config, options.judge).changed(
        repeats=options.repeats, concurrency=options.concurrency, limit_usd=options.limit_usd
    )
    bench = material.load_bench(options.data)
    answers = material.load_answers(options.answers)
    material.check_complete(bench, answers, options.answers)
    plan = asks.plan(bench, answers, judge)
    if options.dry_run:
        print(rating.estimate_text(rating.estimate(plan, journal.peek(options.journal), judge)))
        return 0
    with _gentle_stop(), journal.Journal(options.journal) as book:
        run = rating.Rating(plan, judge, book, _ledger(options, judge))
        if run.waiting:
            key = config.api_key(judge, options.key_file)
            with local.address(judge, options.base_url, options.model_path) as url:
                outcome = run.run(url, key)
        else:
            outcome = run.outcome()
    return _deliver(outcome, judge, options)


@contextlib.contextmanager
def _gentle_stop():
    """Let a first interrupt finish the calls in flight, which are paid for, and a second end everything."""

    def first(*_) -> None:
        for sign in STOPS:
            signal.signal(sign, lambda *_: os._exit(130))
        said = "interrupted: finishing the calls in flight; interrupt again to drop them"
        print(said, file=sys.stderr, flush=True)
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


def _ledger(options: argparse.Namespace, judge):
    from edge2giant.judge.budget import Ledger, NoLedger

    if judge.free:
        return NoLedger()
    default = Path(options.journal) / f"ledger-{judge.name}.jsonl"
    return Ledger(options.ledger or default, judge.limit_usd)


def _deliver(outcome, judge, options: argparse.Namespace) -> int:
    from edge2giant.judge.rate import say

    if outcome.not_asked or len(outcome.failed) > options.allow_failed:
        hint = "run the same command again: nothing that was had is asked for twice"
        raise UserError(say(outcome, judge), f"judge {judge.name}", hint)
    rows = sorted(outcome.judgments + outcome.failed, key=lambda r: (r["question_id"], r["turn"], r["repeat"]))
    jsonl.write(options.out, rows, "judgment")
    unparsed = sum(row["status"] == "unparsed" for row in rows)
    print(
        f"judge {judge.name}: {len(rows)} judgments written, {unparsed} without a rating, {len(outcome.failed)} failed",
        file=sys.stderr,
    )
    return 0


def score(options: argparse.Namespace) -> int:
    """Write the mean ratings of a set of judgments."""
    from edge2giant.judge import material
    from edge2giant.judge import score as scoring

    judgments = list(jsonl.read(options.judgments, "judgment"))
    answers = material.load_answers(options.answers) if options.answers else None
    value, stderr, n, parts, samples = scoring.mt_bench_parts(judgments, answers)
    summary = {
        "score": value,
        "stderr": stderr,
        "n": n,
        "parts": parts,
        "unparsed": scoring.missing(judgments),
    }
    if options.out_samples:
        Path(options.out_samples).parent.mkdir(parents=True, exist_ok=True)
        samples.to_parquet(options.out_samples, index=False)
    records.write_json(options.out_parts, summary)
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
