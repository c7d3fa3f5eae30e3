"""The bench: percentiles, the form of its report, and its check."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from threading import local
from xml.etree import ElementTree

import pytest

from bench.__main__ import PAGE, RESULT
from bench.harness import clock, load, processors, wrk
from bench.harness.load import Sample, percentiles, thread_callers
from bench.harness.oracle import Observed, judge
from bench.harness.result import FORMAT, Clock, Comparison, Machine, Measurement, Report, ScenarioResult
from bench.reporters import json_file, page, plots
from bench.scenarios import sizes
from tests.support.waiting import wait_until

README = PAGE.parents[1] / "README.md"
SOUND = Observed(6, 6, 6, 0, 0, 0, 0, 2)


def report() -> Report:
    timed = Measurement(
        "daybook", {"callers": 64}, "appends/s", [3.0, 1.0, 2000.0], percentiles([[1000], [2000, 3000]])
    )
    scenario = ScenarioResult(
        "store",
        "The store",
        "How.",
        [timed],
        [Comparison("daybook ÷ peer", 4.0, 5.0), Comparison("lag", 7.0, at_most=9.0)],
        ["positions dense"],
        Clock(1.0, 1.25, 2.0),
    )
    machine = Machine(2, "a processor", 24.0, "Linux 6", "ext4", "CPython 3.11", "18", {"fsync": "on"}, 0.5, [timed])
    return Report(FORMAT, "2026-11-21", "abc", "python -m bench", 1, 3, False, machine, [scenario])


def test_percentiles_are_of_all_samples_in_milliseconds() -> None:
    latency = percentiles([range(1, 50_001), range(50_001, 100_001)])
    assert latency.p50 == pytest.approx(50, rel=0.002)
    assert latency.p99 == pytest.approx(99, rel=0.002)
    assert latency.max == pytest.approx(100, rel=0.002)


class Clocks(local):
    """A clock for each thread, which stands still until the thread moves it."""

    now_ns = 0


def test_the_warm_up_is_answered_but_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request takes a millisecond of the clock of its caller, whatever the machine needs for it."""
    asked: list[None] = []
    clocks = Clocks()
    monkeypatch.setattr(load, "perf_counter", lambda: clocks.now_ns / 1e9)
    monkeypatch.setattr(load, "perf_counter_ns", lambda: clocks.now_ns)

    def ask() -> None:
        clocks.now_ns += 1_000_000
        asked.append(None)

    sample = thread_callers(ask, 2, 0.01, 0.02)
    assert sample.answered == len(asked) == 2 * 30
    assert sample.latencies_us == [1_000] * 2 * 20


def test_a_caller_that_fails_fails_the_measurement() -> None:
    with pytest.raises(ZeroDivisionError):
        thread_callers(lambda: 1 / 0, 2, 0, 0.01)


def test_the_output_of_wrk_is_read() -> None:
    result = 'RESULT {"requests":3,"microseconds":500000,"refused":0,"broken":0,"commands":4}'
    sample = wrk.parse(f"Running 1s test\n{result}\nLATENCY 100 2\nLATENCY 300 1\n")
    assert sample == Sample(3, 0.5, [100, 100, 300], 4)


@pytest.mark.parametrize("wrong", ['"refused":1,"broken":0', '"refused":0,"broken":1'])
def test_refused_requests_make_no_result(wrong: str) -> None:
    with pytest.raises(RuntimeError, match="1"):
        wrk.parse(f'RESULT {{"requests":3,"microseconds":500000,{wrong}}}')


def test_the_clock_is_watched_from_the_beginning_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "EVERY_SECONDS", 0.001)
    with clock.watched() as loops:
        wait_until(lambda: len(loops) >= 3, "a loop run after the first")
        watched = len(loops)
    assert len(loops) > watched
    assert min(loops) > 0


def test_a_report_is_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    json_file.write(report(), tmp_path / "result.json")
    assert json_file.load(tmp_path / "result.json") == report()


def test_a_report_of_another_format_is_refused(tmp_path: Path) -> None:
    json_file.write(replace(report(), format=FORMAT + 1), tmp_path / "result.json")
    with pytest.raises(ValueError, match="format"):
        json_file.load(tmp_path / "result.json")


def test_the_page_has_medians_and_the_missed_bounds() -> None:
    text = page.render(report())
    assert "| store | daybook ÷ peer | 4.00 | ≥ 5.00 | **not reached** |" in text
    assert "| store | lag | 7.00 | ≤ 9.00 | reached |" in text
    assert "| daybook | 64 | 3.00 | 1.00 | 2,000 | 2.00 | 3.00 | 3.00 |" in text
    assert "took 1.25 ms of CPU time in the median, 1.00 at the least, 2.00 at the most" in text
    assert "Checked afterwards: positions dense." in text


def test_a_repeated_measurement_replaces_the_first_one_with_a_note() -> None:
    first = report()
    other = replace(first.scenarios[0], name="other", title="Another")
    first = replace(first, scenarios=[*first.scenarios, other])
    machine = replace(first.machine, python="CPython 3.12", settings={"fsync": "on", "huge_pages_status": "on"})
    repeated = replace(other, comparisons=[Comparison("requests", 9.0)])
    later = replace(first, date="2026-11-22", revision="def", repetitions=2, machine=machine, scenarios=[repeated])
    both = first.with_again(later)
    assert [scenario.name for scenario in both.scenarios] == ["store", "other"]
    text = page.render(both)
    assert text.count("Measured again: 2026-11-22, def, repetitions 2, load before 0.5, CPython 3.12, huge_pages") == 1
    assert "| other | requests | 9.00 |" in text
    assert "| date, revision | 2026-11-21, abc |" in text


def test_measurements_that_do_not_fit_on_one_page_are_refused() -> None:
    first = report()
    with pytest.raises(ValueError, match="4 cores"):
        first.with_again(replace(first, machine=replace(first.machine, cores=4)))
    with pytest.raises(ValueError, match="quick"):
        first.with_again(replace(first, quick=True))


@pytest.mark.parametrize(
    ("comparison", "met"),
    [
        (Comparison("x", 5.0, 5.0), True),
        (Comparison("x", 4.9, 5.0), False),
        (Comparison("x", 5.0, at_most=5.0), True),
        (Comparison("x", 5.1, at_most=5.0), False),
        (Comparison("x", 5.1), True),
    ],
)
def test_a_bound_is_met_only_on_its_side(comparison: Comparison, met: bool) -> None:
    assert comparison.met is met


def test_the_committed_page_is_the_committed_result() -> None:
    committed = json_file.load(RESULT)
    assert PAGE.read_text() == page.render(committed, page.peers_of(PAGE.read_text()))
    files = (PAGE.parent / page.FOLDER).glob("*.svg")
    assert {file.name: file.read_text() for file in files} == plots.draw(committed)


def test_a_new_page_keeps_the_section_of_peers(tmp_path: Path) -> None:
    peers = "<!-- peers -->\n## Beside other ledgers\n\n| **Daybook** | 4 |\n<!-- end of peers -->\n"
    file = tmp_path / "performance.md"
    file.write_text(f"An old page.\n{peers}An old figure.\n")
    page.write(report(), file)
    assert page.peers_of(file.read_text()) == peers
    assert "An old" not in file.read_text()
    file.unlink()
    page.write(report(), file)
    assert page.peers_of(file.read_text()) == ""


def test_peers_are_measured_beside_daybook_on_one_day_and_machine() -> None:
    peers = page.peers_of(PAGE.read_text())
    assert "2026-11-28" in peers
    assert "2 cores (Intel Xeon)" in " ".join(peers.split())
    rows = [line for line in peers.splitlines() if line.startswith("| ")]
    for name in ("**Daybook over HTTP**", "Formance", "Blnk", "pgledger", "TigerBeetle", "FastAPI and SQLAlchemy"):
        assert any(row.startswith(f"| {name}") for row in rows), name


def peer(name: str, column: int) -> list[float]:
    """The rates of a row of the table of peers, in the first column (one a request) or the third (in bulk)."""
    rows = page.peers_of(PAGE.read_text()).splitlines()
    [row] = [line for line in rows if line.startswith(f"| {name}")]
    rates = row.split("|")[column + 1].partition(";")[0]
    return [float(rate.replace(",", "")) for rate in re.findall(r"\b[0-9][0-9,]{1,}", rates)]


@pytest.mark.parametrize(
    ("slower", "named", "alone", "bulk"),
    [
        ("Formance Ledger v2.4, minimal", "- Faster than Formance", "11 times", "29 times"),
        ("Blnk 0.15 over HTTP", "- Faster than Blnk", "9 times", None),
        ("pgledger, SQL", "- Faster than pgledger", "1.6 times", "2.4 times"),
        ("FastAPI and SQLAlchemy", "- Faster than a plain ledger", "23 times", None),
    ],
)
def test_the_readme_quotes_the_table_of_peers(slower: str, named: str, alone: str, bulk: str | None) -> None:
    """Daybook's lower rate is compared with the best of the other, and the ratio is rounded down."""
    [line] = [part for part in re.split(r"\n(?=- |\n)", README.read_text()) if part.startswith(named)]
    for column, quoted in ((1, alone), (3, bulk)):
        if quoted is not None:
            assert quoted in " ".join(line.split())
            ratio = min(peer("**Daybook over HTTP**", column)) / peer(slower, column)[0]
            stated = float(quoted.split()[0])
            assert stated <= ratio < stated + (1 if stated >= 9 else 0.1)


def test_the_readme_says_what_is_faster() -> None:
    for column, least, most in ((1, 0.45, 0.55), (3, 1 / 6, 1 / 5)):
        assert least < min(peer("**Daybook over HTTP**", column)) / peer("TigerBeetle 0.17.8", column)[0] < most
    assert 30 < peer("TigerBeetle, 32 sessions", 3)[0] / min(peer("**Daybook over HTTP**", 3)) < 33
    assert "about half its rate one transfer a request, and a fifth to a thirtieth in bulk" in README.read_text()


def test_the_benchmark_has_no_figures_of_other_systems() -> None:
    named = re.compile(r"pgledger|tigerbeetle|\bformance|blnk", re.IGNORECASE)
    files = [file for file in (PAGE.parents[1] / "bench").rglob("*") if file.suffix in (".py", ".json", ".lua")]
    assert files
    assert [str(file) for file in files if named.search(file.read_text())] == []


def test_a_plot_has_a_line_for_each_subject_and_bars_to_the_lowest_and_the_highest() -> None:
    measured = [
        Measurement(subject, {"connections": connections}, "requests/s", [rate, rate / 2, 2 * rate])
        for subject, rate in (("<daybook>", 300.0), ("peer", 100.0))
        for connections in (1, 64)
    ]
    svg = plots.draw(replace(report(), scenarios=[ScenarioResult("http", "HTTP", "How.", measured)]))["http.svg"]
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"<daybook>", "peer", "1", "64", "connections", "0", "600"} <= set(texts)
    assert svg.count("<polyline") == 2
    assert svg.count("<circle") == 4


def test_the_page_shows_the_plots_that_are_drawn() -> None:
    measured = [Measurement("daybook", {"connections": 1}, "requests/s", [1.0])]
    text = page.render(replace(report(), scenarios=[ScenarioResult("http", "HTTP", "How.", measured)]))
    assert "![Requests a second by connections](performance/http.svg)" in text
    assert "zipf" not in text


@pytest.mark.parametrize(
    ("value", "met"), [(0.9, {None: True, 1.0: False, 0.5: True}), (1.0, {None: True, 1.0: True, 0.5: True})]
)
def test_a_lower_bound_is_met_at_it_and_above(value: float, met: dict[float | None, bool]) -> None:
    assert {bound: Comparison("", value, at_least=bound).met for bound in met} == met


@pytest.mark.parametrize(("value", "met"), [(1.0, True), (1.2, True), (1.21, False)])
def test_an_upper_bound_is_met_at_it_and_below(value: float, met: bool) -> None:
    assert Comparison("", value, at_most=1.2).met is met


def test_the_rate_of_a_fold_over_all_its_turns_weighs_them_by_their_time() -> None:
    turns = [(1000, 1.0), (1000, 3.0)]
    assert sizes.rates_of(turns) == [1000.0, 333.3]
    assert sizes.rates_of([sizes.overall(turns)]) == [500.0]


def test_the_load_of_a_processor_is_all_time_except_waiting() -> None:
    before, after = "cpu  10 0 10 100 0 0 0 0 0 0", "cpu  30 5 20 130 10 5 10 10 0 0"
    assert processors.share(before, after) == pytest.approx(0.6)


def test_the_check_of_a_sound_log_finds_nothing() -> None:
    assert judge(SOUND, 2) == []
    assert judge(SOUND, 1, unanswered=1) == []


@pytest.mark.parametrize(
    "wrong",
    [
        replace(SOUND, head=7),
        replace(SOUND, highest_position=7),
        replace(SOUND, broken_streams=1),
        replace(SOUND, broken_units=1),
        replace(SOUND, unbalanced=1),
        replace(SOUND, sum_of_shares=1),
        replace(SOUND, accepted=1),
        replace(SOUND, accepted=3),
    ],
)
def test_the_check_finds_each_kind_of_error(wrong: Observed) -> None:
    assert len(judge(wrong, 2)) == 1
