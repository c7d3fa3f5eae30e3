"""The report of `verify`: data, and sentences that are made from it."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from projections.engine.verify import TablesReport

SAMPLE: Final = 10
"""Most findings of a check that are shown. All of them are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, and its place in the log."""

    check: str
    position: int | None
    what: str

    def __str__(self) -> str:
        return self.what if self.position is None else f"at position {self.position}: {self.what}"


@dataclass(frozen=True, slots=True)
class Check:
    """A check: how much data it covered, and what it found."""

    name: str
    counted: str  # the things that `covered` counts: events, units, commands …
    covered: int
    offences: int
    findings: tuple[Finding, ...]  # a sample of the findings
    not_covered: dict[str, int] = field(default_factory=dict)  # the number left out, by reason

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
    """A check of `total` things. If it covered fewer without a reason, that is a finding."""
    offences = len(findings) if offences is None else offences
    shown = list(findings[:SAMPLE])
    left_out = {reason: number for reason, number in (not_covered or {}).items() if number}
    if covered + sum(left_out.values()) < total:
        offences += 1
        shown.append(Finding(name, None, f"this check could look at only {covered} of {total} {counted}"))
    return Check(
        name=name, counted=counted, covered=covered, offences=offences, findings=tuple(shown), not_covered=left_out
    )


@dataclass(slots=True)
class Tally:
    """What a check covered and found in a part of the log. Tallies of the parts add up to that of the whole."""

    name: str
    covered: int = 0
    offences: int = 0
    sample: list[Finding] = field(default_factory=list)  # the first ones by position
    not_covered: Counter[str] = field(default_factory=Counter)

    def find(self, position: int | None, what: str) -> None:
        """Count a finding, and keep it if it is among the first."""
        self.offences += 1
        insort(self.sample, Finding(self.name, position, what), key=_place)
        del self.sample[SAMPLE:]

    def add(self, other: Tally) -> None:
        """Add what was covered and found in another part."""
        self.covered += other.covered
        self.offences += other.offences
        self.sample = sorted([*self.sample, *other.sample], key=_place)[:SAMPLE]
        self.not_covered.update(other.not_covered)

    def check(self, counted: str, total: int) -> Check:
        """The check of all parts, of `total` things."""
        return checked(
            self.name,
            counted,
            self.covered,
            total,
            self.sample,
            offences=self.offences,
            not_covered=dict(sorted(self.not_covered.items())),
        )


def _place(finding: Finding) -> tuple[bool, int, str]:
    """Findings with a position come first, in the order of the log."""
    return finding.position is None, finding.position or 0, finding.what


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """All checks of a log, of the schema, and of the tables that are folded from the log."""

    log: str
    epoch: int
    head: int
    digest_version: str
    digest: str
    checks: tuple[Check, ...]
    tables: TablesReport

    @property
    def ok(self) -> bool:
        """Whether there is no finding. It is derived, so it cannot disagree with the findings."""
        return all(check.ok for check in self.checks) and self.tables.ok

    def check(self, name: str) -> Check:
        """The check with this name."""
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
