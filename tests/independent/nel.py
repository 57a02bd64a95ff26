"""What `nel gate`, and `nel compare` inside it, say of the pairs: python nel.py pairs.csv"""

import csv
import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import NormalDist


def bundle(folder: Path, case: str, rows: list[dict], side: str) -> Path:
    """A run of nemo-evaluator with the answers of one side."""
    place = folder / side / case
    place.mkdir(parents=True)
    lines = (
        json.dumps({"problem_idx": n, "repeat": 0, "reward": float(row[side]), "metadata": {"category": row["cluster"] or None}})
        for n, row in enumerate(rows)
    )
    (place / "results.jsonl").write_text("\n".join(lines))
    mean = sum(float(row[side]) for row in rows) / len(rows)
    record = {"run_id": side, "benchmark": {"name": case, "samples": len(rows), "scores": {"mean_reward": {"value": mean}}}}
    (place / f"eval-{side}.json").write_text(json.dumps(record))
    return folder / side


def gate(folder: Path, case: str) -> dict:
    """What the gate says of one benchmark, with the comparison inside."""
    policy, out = folder / "policy.yaml", folder / "gate.json"
    policy.write_text(f"defaults: {{metric: mean_reward}}\nbenchmarks: {{{case}: {{tier: critical}}}}\n")
    nel = Path(sys.executable).with_name("nel")
    command = [nel, "gate", folder / "a", folder / "b", "--policy", policy, "--output", out, "--no-strict"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    (found,) = json.loads(out.read_text())["benchmarks"]
    return found


def main() -> None:
    with Path(sys.argv[1]).open() as stream:
        pairs = list(csv.DictReader(stream))
    for case in ("answers", "values", "uneven"):
        rows = [row for row in pairs if row["case"] == case]
        with tempfile.TemporaryDirectory() as name:
            for side in "ab":
                bundle(Path(name), case, rows, side)
            found = gate(Path(name), case)
        ends = [100 * found[f"delta_ci_{end}"] for end in ("lower", "upper")]
        said = {"difference": 100 * found["delta"]}
        if case == "uneven":  # its interval of clusters is by the normal distribution, of other pairs by Student's
            said["error"] = (ends[1] - ends[0]) / 2 / NormalDist().inv_cdf(0.975)
        else:
            said |= dict(zip(("t low", "t high"), ends, strict=True))
        if case == "answers":
            report = found["regression_report"]
            said |= {"p_one_sided": report["mcnemar"]["p_value"]} | report["flip_report"]["contingency"]
        for measure, value in said.items():
            print(f"nemo-evaluator {version('nemo-evaluator')},{case},{measure},{value}")


main()
