"""The event of a conversion. Quotes and conversions use it, so it is apart from both."""

from __future__ import annotations

from domain.accounts.currencies.pricing import Price
from domain.kernel import Event


class ConversionMade(Event, frozen=True):
    """Money was converted. The event has the figures, and is the only one of its stream.

    The transaction in the same unit has the entries, which follow from the figures.
    """

    source: str  # the account that paid
    target: str  # the account that got it
    transaction: str
    quote: str | None  # that was used
    price: Price
