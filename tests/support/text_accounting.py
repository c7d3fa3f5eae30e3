"""hledger, ledger and beancount: whether they accept a journal, and the balances that they compute."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path

Balances = dict[tuple[str, str], Decimal]
"""By account and currency, without zeros. Debits are positive."""

PATIENCE_SECONDS = 60


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )


def program(name: str) -> str:
    """The path of a program. `make servers` installs hledger and ledger; beancount is in the environment."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    assert found is not None, f"{name} is not installed: run make servers"
    return found


def hledger(file: Path) -> Balances:
    """The balances by hledger, which checks the journal strictly first."""
    checked = run(program("hledger"), "-f", file, "check", "--strict")
    assert checked.returncode == 0, checked.stderr
    done = run(program("hledger"), "-f", file, "balance", "--flat", "--no-total", "-O", "csv", "--layout=bare")
    assert done.returncode == 0, done.stderr
    rows = csv.DictReader(io.StringIO(done.stdout))
    return _without_zeros({(row["account"], row["commodity"]): Decimal(row["balance"]) for row in rows})


def ledger(file: Path) -> Balances:
    """The balances by ledger, which is pedantic about accounts and commodities."""
    line = "%(account)\t%(quantity(scrub(amount)))\t%(commodity(scrub(amount)))\n"
    done = run(program("ledger"), "-f", file, "--pedantic", "register", "--format", line)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return _summed((account, currency, amount) for account, amount, currency in _cells(done.stdout) if amount != "0")


def beancount(file: Path) -> Balances:
    """The balances by beancount, after `bean-check`."""
    checked = run(program("bean-check"), file)
    assert checked.returncode == 0, checked.stderr
    printed = run(sys.executable, "-c", _SUMS, file)
    assert printed.returncode == 0, printed.stderr
    return _summed((account, currency, amount) for account, amount, currency in _cells(printed.stdout))


TOOLS: Mapping[str, Callable[[Path], Balances]] = {"hledger": hledger, "ledger": ledger, "beancount": beancount}

_SUMS = """
import sys
from beancount import loader
entries, errors, _ = loader.load_file(sys.argv[1])
assert not errors, errors
for entry in entries:
    for posting in getattr(entry, "postings", ()):
        print(posting.account, posting.units.number, posting.units.currency, sep="\\t")
"""


def _cells(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def _summed(rows: Iterable[tuple[str, str, str]]) -> Balances:
    sums: Balances = {}
    for account, currency, amount in rows:
        sums[account, currency] = sums.get((account, currency), Decimal(0)) + Decimal(amount)
    return _without_zeros(sums)


def _without_zeros(balances: Balances) -> Balances:
    return {key: amount for key, amount in balances.items() if amount}
