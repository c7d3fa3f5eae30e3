"""What `verify` reports: data first, sentences made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from projections.engine.verify import TablesReport

SAMPLE: Final = 10
"""How many findings of a check are shown; its offences are counted in full."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be: where in the log, and what."""

    check: str
    position: int | None
    what: str

    def __str__(self) -> str:
        return self.what if self.position is None else f"at position {self.position}: {self.what}"


@dataclass(frozen=True, slots=True)
class Check:
    """A question, how much of the data it looked at, and what it found."""

    name: str
    counted: str  # what `covered` counts: events, units, commands …
    covered: int
    offences: int
    findings: tuple[Finding, ...]  # a sample of the offences
    not_covered: dict[str, int] = field(default_factory=dict)  # how many were left out, by the reason

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return self.offences == 0


def checked(
    name: str,
    counted: str,
    covered: int,
    total: int,
    findings: Sequence[Finding],
    *,
    offences: int | None = None,
    not_covered: Mapping[str, int] | None = None,
) -> Check:
    """A check that had `total` to look at. Having looked at less, without a reason, is a finding of its own."""
    offences = len(findings) if offences is None else offences
    shown = list(findings[:SAMPLE])
    left_out = {reason: number for reason, number in (not_covered or {}).items() if number}
    if covered + sum(left_out.values()) < total:
        offences += 1
        shown.append(Finding(name, None, f"this check could look at only {covered} of {total} {counted}"))
    return Check(
        name=name, counted=counted, covered=covered, offences=offences, findings=tuple(shown), not_covered=left_out
    )


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Everything that was asked of a log, of the schema, and of the tables folded from the log."""

    log: str
    epoch: int
    head: int
    digest_version: str
    digest: str
    checks: tuple[Check, ...]
    tables: TablesReport

    @property
    def ok(self) -> bool:
        """Derived from the findings, so the two cannot disagree."""
        return all(check.ok for check in self.checks) and self.tables.ok

    def check(self, name: str) -> Check:
        """The check of that name."""
        return next(check for check in self.checks if check.name == name)

    def as_json(self) -> dict[str, Any]:
        """The documented `--json` form."""
        tables = self.tables
        return {
            "ok": self.ok,
            "log": self.log,
            "epoch": self.epoch,
            "head": self.head,
            "digest_version": self.digest_version,
            "digest": self.digest,
            "checks": [{**asdict(check), "ok": check.ok} for check in self.checks],
            "tables": {
                **asdict(tables),
                "findings": [{**asdict(finding), "sentence": str(finding)} for finding in tables.findings],
                "ok": tables.ok,
            },
        }
