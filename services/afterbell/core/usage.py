"""What a model call used: the unit that prices, budgets and costs count in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens one model call was billed for. ``estimated`` where the provider did not say: the stream was cut, say."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    estimated: bool = False
