"""Orders over HTTP: written, folded and read."""

from __future__ import annotations

from tests.support.answers import accepted, found
from tests.support.service import Service


def test_orders(service: Service) -> None:
    account = service.account("50.00")
    lines = [{"sku": "85123A", "name": "Hanging heart", "quantity": 6, "unit_price": "2.55"}]
    body = {"customer": "customer-9", "currency": "EUR", "lines": lines, "metadata": {"channel": "web", "shop": "7"}}
    response = service.post("orders", body)
    order = accepted(response)["order"]
    assert response.headers["ETag"] == '"1"'
    accepted(service.post(f"orders/{order}/confirm"), 200)
    paid = accepted(service.post(f"orders/{order}/pay", {"account": account}))
    other = accepted(service.post("orders", body))["order"]
    accepted(service.post(f"orders/{other}/cancel", {"reason": "changed my mind"}), 200)

    read = found(service.get(f"orders/{order}"))
    wanted = {"status": "paid", "total": "15.30", "transaction": paid["transaction"], "lines": lines}
    assert wanted.items() <= read.items()
    assert (read["metadata"], read["names_erased"]) == (body["metadata"], False)
    assert found(service.get("orders", customer="customer-9", status="paid"))["items"] == [read]
    assert found(service.get("orders", status="cancelled"))["items"][-1]["reason"] == "changed my mind"
    assert found(service.get("transactions", reference=order))["items"][0]["kind"] == "payment"
