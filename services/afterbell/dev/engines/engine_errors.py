"""What the caller of ``engines()`` has to handle."""

from afterbell.core.errors import AfterbellError


class EnginesError(AfterbellError):
    """An embedded engine cannot be had; the message says which, why and what to do."""

    code = "engines_unavailable"
