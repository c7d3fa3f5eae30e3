"""Once a person was erased, nothing that runs opens their values any more."""

from __future__ import annotations

from tests.support.service import Service


def texts(service: Service, account: str) -> list[str]:
    """What the API shows of an account, from its stream, from the log and from the read table."""
    events = service.get(f"streams/{account}", role="audit"), service.get("log", role="audit", limit=200)
    return [*(answer.text for answer in events), service.get(f"accounts/{account}").text]


def test_a_running_service_shows_nothing_of_an_erased_person(service: Service) -> None:
    account = service.account(owner="ada", name="Augusta Ada King")
    other = service.account(owner="bob", name="Robert Boole")
    done = service.post(f"accounts/{account}/freeze", {"reason": "Wrote a programme"}, role="operator")
    assert done.status_code == 200, done.text
    for _ in range(2):  # the keys are in the memory of the service then
        stream, log, row = texts(service, account)
        assert ["Augusta Ada King" in text for text in (stream, log, row)] == [True] * 3, (stream, log, row)
        assert all("Wrote a programme" in text for text in (stream, log))

    service.erased("ada")

    stream, log, row = texts(service, account)  # the row is read at the position of the erasure
    for text in (stream, log, row):
        assert "Augusta" not in text
        assert "programme" not in text
    assert "[erased]" in stream
    assert "subject.erased.v1" in log
    assert "Robert Boole" in log
    assert service.get(f"accounts/{account}").json()["name_erased"]
    assert service.get(f"accounts/{other}").json()["name"] == "Robert Boole"
