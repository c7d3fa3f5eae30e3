"""The comparison of two revisions: its figures, its verdict, and its versions of libraries."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import orjson
import pytest

from bench.compare.load import batches, requests, send_batches, send_each
from bench.compare.program import CompareError, differences
from bench.compare.statistics import Comparison, Round, Spread, verdict


def comparison(*ratios: float, itself: float = 1.0) -> Comparison:
    return Comparison("fold", [Round(100.0, 100 * ratio, 100 * itself) for ratio in ratios])


def test_the_figures_are_medians_of_pairs() -> None:
    rounds = [Round(100, 90, 101), Round(200, 210, 190), Round(50, 60, 50)]
    compared = Comparison("fold", rounds)
    assert (compared.before, compared.now) == (100, 90)
    assert compared.ratio == Spread(1.05, 0.9, 1.2)  # the median of the ratios of pairs, not 90 ÷ 100
    assert compared.itself == Spread(1.0, 0.95, 1.01)


def test_every_rate_can_be_stored() -> None:
    written = orjson.loads(orjson.dumps(comparison(0.9, 1.1).as_json()))
    assert written["ratio"] == {"median": 1.0, "lowest": 0.9, "highest": 1.1}
    assert written["rounds"][0] == {"before": 100.0, "now": 90.0, "again": 100.0}


def test_one_slow_pair_does_not_decide() -> None:
    compared = comparison(0.5, 1.0, 0.96)
    assert not compared.is_slower(0.05)
    assert verdict([compared], 0.05) == "Within 5%: the lowest median is 0.960 (fold)."


def test_a_median_below_the_tolerance_is_slower() -> None:
    compared = comparison(0.9, 1.0, 0.93)
    assert compared.is_slower(0.05)
    assert not compared.is_slower(0.1)
    assert verdict([comparison(1.0), compared], 0.05) == "Slower than the 5% that is tolerated: fold by 7.0%."


def test_a_faster_tree_is_within() -> None:
    assert not comparison(1.3, 1.2).is_slower(0.05)


@pytest.mark.parametrize("itself", [0.9, 1.1])
def test_a_revision_that_differs_from_itself_makes_the_verdict_doubtful(itself: float) -> None:
    message = verdict([comparison(1.0, 1.0, itself=itself)], 0.05)
    assert "too unsteady" in message
    assert message.startswith("Within 5%")
    assert "unsteady" not in verdict([comparison(1.0, itself=0.97)], 0.05)


LOCK = """\
# How it was made.
fastapi==0.165.0
typing_extensions==4.16.0
"""
HASHED = """\
fastapi==0.165.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via daybook
moneyed==1.0 \\
    --hash=sha256:cc
typing-extensions==4.16.0 ; python_version < "3.13" \\
    --hash=sha256:dd
"""


def test_versions_are_compared_and_not_the_form_of_the_lock_file() -> None:
    assert differences(LOCK, HASHED) == []
    assert differences(HASHED, LOCK) == ["moneyed==1.0"]
    assert differences(LOCK, HASHED.replace("0.165.0", "0.166.0")) == ["fastapi==0.165.0"]


class _Refusing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        batch = self.path.endswith("/batches")
        body = b'{"status":201}\n{"status":422}\n' if batch else b"{}"
        self.send_response(200 if batch else 422)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def refusing() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_a_refused_run_is_not_a_measurement(refusing: int) -> None:
    bodies = [{"source": "a", "target": "b"}] * 2
    with pytest.raises(CompareError, match=r"a transfer was answered b'HTTP/1\.1 422'"):
        send_each(refusing, requests(bodies, "token", "run"), connections=1)
    with pytest.raises(CompareError, match="1 of 2 items were answered 201"):
        send_batches(refusing, "token", batches([("/v1/transfers", body) for body in bodies], 2, "run"))
