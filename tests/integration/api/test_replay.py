"""The routes of replay, and the page about it, whose commands are executed as written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from api.system import replay
from tests.integration.workers.running import PATIENCE_SECONDS
from tests.support.service import TOKENS, Service

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "replay.md"
ONE = {"amount": "1.00", "currency": "EUR"}


def steps_of(service: Service, **asked: Any) -> list[Any]:
    """All steps of a replay, page by page."""
    found: list[Any] = []
    while True:
        page = service.get("replay", role="audit", **asked).json()
        assert len(page["steps"]) <= asked["limit"]
        found += page["steps"]
        if page["upto"] == page["head"]:
            return found
        asked["after"] = page["upto"]


@pytest.mark.parametrize("limit", [1, 2, 200])
def test_pages_of_any_size_are_the_same_steps(service: Service, limit: int) -> None:
    key = f"replay-{limit}"
    account = service.account("5.00", name="Ada")
    service.post(f"accounts/{account}/deposits", ONE, key=key)
    whole = steps_of(service, limit=limit)
    assert [step["position"] for step in whole] == list(range(1, len(whole) + 1))
    of_account = steps_of(service, account=account, limit=limit)
    assert [step["type"] for step in of_account].count("transaction.posted.v1") == 2
    of_stream = steps_of(service, stream=account, limit=limit)
    assert [step["state"]["balance"] for step in of_stream] == [0, 500, 600]
    assert of_stream[0]["data"]["name"] == "Ada", "auditors see it, as in the log"
    assert {"path": "balance", "before": 500, "after": 600} in of_stream[-1]["changes"]
    assert steps_of(service, correlation=key, limit=limit) == whole[-3:]
    assert steps_of(service, correlation=key, actor="the-command", limit=limit) == whole[-3:]


def test_filters(service: Service) -> None:
    account = service.account("5.00")
    asked: dict[str, Any] = {"stream": account, "currency": "EUR", "limit": 200}
    assert len(steps_of(service, **asked, amount_from="5.00", amount_until="5.00")) == 1
    assert steps_of(service, **asked, amount_from="5.01") == []
    [opened] = steps_of(service, stream=account, type="account.opened.v1", limit=200)
    owner = opened["data"]["owner"]
    assert steps_of(service, stream=account, person=owner, limit=200) == [opened], "the subject of the first event only"
    assert steps_of(service, stream=account, person="nobody", limit=200) == []


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("replay", {"stream": "a", "account": "b"}, 400),
        ("replay", {"actor": "a"}, 400),
        ("replay", {"amount_from": "1"}, 400),
        ("replay", {"after": "soon"}, 400),
        ("replay", {"upto": "2026-99-01T00:00:00Z"}, 400),
        ("replay", {"stream": "acct_none"}, 404),
        ("replay/causes", {}, 400),
        ("replay/causes", {"position": "1", "key": "k"}, 400),
        ("replay/causes", {"position": "999999"}, 400),
        ("replay/causes", {"key": "none"}, 404),
        ("replay/refusal", {"position": "1"}, 404),
        ("replay/refusal", {"position": "²"}, 400),
    ],
)
def test_bad_input(service: Service, path: str, asked: dict[str, Any], status: int) -> None:
    service.account("1.00")
    answered = service.get(path, role="audit", **asked)
    assert answered.status_code == status, answered.text
    assert service.get(path, role="report", **asked).status_code == 403


def test_a_request_folds_no_more_than_its_bound(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    account = service.account("1.00")
    [*_, last] = steps_of(service, stream=account, limit=200)
    asked: dict[str, Any] = {"stream": account, "after": str(last["position"] - 1)}
    monkeypatch.setattr(replay, "MOST_FOLDED", last["version"] - 1)
    assert service.get("replay", role="audit", **asked).status_code == 200
    monkeypatch.setattr(replay, "MOST_FOLDED", last["version"] - 2)
    refused = service.get("replay", role="audit", **asked)
    assert refused.status_code == 400
    assert "daybook replay" in refused.json()["detail"]


def test_a_page_ends_where_its_steps_have_too_many_bytes(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    account = service.account("1.00")
    asked: dict[str, Any] = {"account": account, "limit": 200}
    whole = steps_of(service, **asked)
    sizes = [len(orjson.dumps(step)) for step in whole]
    monkeypatch.setattr(replay, "MOST_BYTES", sizes[0] + 1)
    page = service.get("replay", role="audit", **asked).json()
    assert page["steps"] == whole[:2], "the first fits, and the second is the one too many"
    assert steps_of(service, **asked) == whole


def test_the_commands_of_the_page_do_what_it_says(service18: Service, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "tokens.txt").write_text(f"operator {TOKENS['operator']}\n")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    script = blocks.replace("http://127.0.0.1:8100", str(service18.http.base_url))
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    account, person, amount, correlation, refusal, causes = map(orjson.loads, done.stdout.splitlines())
    assert account["steps"][-1]["state"]["balance"] == 5000
    assert [step["type"] for step in person["steps"]] == ["account.opened.v1"]
    assert amount["steps"] == correlation["steps"]
    assert len(correlation["steps"]) == 3
    assert (refusal["states"][0]["state"]["balance"], "80.00" in refusal["sentence"]) == (5000, True)
    assert causes["command"] == "Deposit"
    assert causes["cut"] is None
