"""config/workload.yaml: what the forecast assumes."""

from pydantic import Field

from edge2giant.config import names
from edge2giant.config.entry import ConfigEntry, Count, NotNegative, Positive


class Tokens(ConfigEntry):
    """Tokens of one document."""

    prefill: NotNegative = Field(description="tokens that are computed")
    new: NotNegative = Field(description="tokens that are generated")


class Shares(ConfigEntry):
    """Shares of a GPU's peak that an engine reaches."""

    prefill: Positive
    bandwidth: Positive


class Start(ConfigEntry):
    """Starting an engine."""

    seconds: NotNegative
    read_gb_s: Positive


class Workload(ConfigEntry):
    """The whole file."""

    tokens: dict[names.Benchmark, Tokens] = Field(description="by benchmark")
    other_tokens: Tokens = Field(description="of a benchmark without an entry in `tokens`")
    shares: Shares
    concurrency: Count = Field(description="sequences that decode together")
    start: Start
    quantize_seconds_per_billion: dict[names.name_of("toolkit", "toolkits"), NotNegative] = Field(
        description="by toolkit, for 10^9 parameters"
    )
    method_seconds_per_billion: dict[names.Method, NotNegative] = Field(
        default={}, description="the same of methods that take another time than most of their toolkit"
    )
    link_seconds_per_billion: NotNegative

    def quantize_rate(self, method: str, toolkit: str) -> float | None:
        """Seconds to make a checkpoint, for 10^9 parameters; None where nothing is known."""
        return self.method_seconds_per_billion.get(method, self.quantize_seconds_per_billion.get(toolkit))
