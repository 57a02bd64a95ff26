"""Names that another file of `config/` defines: each is checked where it stands.

Files are read in the order of `loading.FILES`, with the earlier ones as the context of validation. Without context nothing is
checked.
"""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from edge2giant.config.entry import Count, Text, refusal

ALL = "all"
"""What stands for every method and bits of a study."""
METHOD_BITS = r"[a-z0-9-]+/w[0-9]+a[0-9]+"


def name_of(kind: str, file: str, base: type = Text):
    """A name that must be one of those that `file` defines."""

    def check(name: str | int, info: ValidationInfo) -> str | int:
        _refuse_unknown(kind, name, (info.context or {}).get(file))
        return name

    return Annotated[base, AfterValidator(check)]


def _refuse_unknown(kind: str, name: str | int, known: Iterable | None) -> None:
    if known is not None and name not in known:
        raise refusal(f"unknown {kind} '{name}'", f"choose one of: {', '.join(map(str, sorted(known)))}")


def _check_method_bits(name: str, info: ValidationInfo) -> str:
    if name == ALL:
        return name
    method, bits = name.split("/")
    if methods := (info.context or {}).get("recipes"):
        _refuse_unknown("method", method, methods)
        _refuse_unknown(f"width of {method}", bits, methods[method].bits)
    return name


Model = name_of("model", "models")
Suite = name_of("suite", "suites")
Benchmark = name_of("benchmark", "benchmarks")
Table = name_of("table", "tables", Count)
Protocol = name_of("protocol", "protocols")
Stack = name_of("stack", "stacks")
CalibrationSet = name_of("calibration set", "calibration")
Judge = name_of("judge", "judges")
Method = name_of("method", "recipes")
MethodBits = Annotated[str, Field(pattern=f"^{METHOD_BITS}$"), AfterValidator(_check_method_bits)]
MethodBitsOrAll = Annotated[str, Field(pattern=f"^(all|{METHOD_BITS})$"), AfterValidator(_check_method_bits)]
