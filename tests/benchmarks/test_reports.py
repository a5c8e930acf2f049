"""Reports: files, the HTML page, the history, and budgets."""

import re
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest
from bench_reports import PARTS, drawn, drawn_report, report_of

from mm_edge.benchmarks.bench.budget import Budget, check_budgets, read_budgets
from mm_edge.benchmarks.bench.history import MOST_RUNS, read_history, remember
from mm_edge.benchmarks.bench.machine import conditions_of
from mm_edge.benchmarks.bench.page import page
from mm_edge.benchmarks.bench.report import read_report, write_report
from mm_edge.benchmarks.bench.scenarios import SCENARIOS
from mm_edge.benchmarks.bench.scenarios.series import Series, rate
from mm_edge.benchmarks.bench.table import FIGURES, figure_rows, number
from mm_edge.errors import UsageError


def test_a_report_is_read_back_unchanged(tmp_path):
    write_report(tmp_path / "a.json", drawn_report(0))
    assert read_report(tmp_path / "a.json") == drawn_report(0)


@pytest.mark.parametrize(
    ("content", "found"), [(b'{"schema": 1}', "expected schema 2"), (b"{}", "schema"), (b"[", "Expected `object`")]
)
def test_a_file_of_another_kind_is_refused(tmp_path, content, found):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UsageError, match=found):
        read_report(tmp_path / "a.json")


def test_the_page_is_self_contained_and_escapes_text():
    made = page(drawn_report(0, warnings=["busy: others"]), then=drawn_report(1))
    assert "processor &lt;of tests&gt;" in made
    assert "busy: others" in made
    assert not re.search(r"(src|href)=|@import|url\(", made)
    assert made.count("<svg") == 3  # bars, stages, ages: the rest was not measured
    Balanced().feed(made)


class Balanced(HTMLParser):
    """Fails where a tag is closed that is not open."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_history_keeps_the_newest(tmp_path):
    path = tmp_path / "history.jsonl"
    for _ in range(3):
        entries = remember(path, drawn_report(0))
    assert len(entries) == len(read_history(path)) == 3
    line = path.read_bytes().splitlines()[0]
    path.write_bytes(b"\n".join([line] * MOST_RUNS) + b"\n")
    remember(path, drawn_report(0))
    assert len(read_history(path)) == MOST_RUNS
    assert not [entry for entry in remember(path, drawn_report(0, kind="other")) if entry.kind != "other"]


def test_a_budget_is_exceeded_only_beyond_the_interval():
    figure = drawn("part", np.random.default_rng(0))
    report = report_of([figure])

    def status(most, of="value", what="parts/part", device="*"):
        return [result.status for result in check_budgets(report, [Budget(what, of, most, device)])]

    assert status(figure.value * 2) == ["met"]
    assert status(figure.value * 0.999) == ["met"]
    assert status(figure.value * 0.5) == ["exceeded"]
    assert status(1.0, of="ratio") == ["exceeded"]
    assert status(1.6, of="ratio") == ["met"]
    assert status(figure.floor.ratio * 0.999, of="ratio") == ["met"]
    assert status(1.0, what="parts/none") == ["not measured"]
    assert status(0.0, device="jetson-*") == []
    assert check_budgets(report, [Budget("parts/part", "value", 0.0)], ratios_only=True) == []


def test_the_budgets_that_ship_name_scenarios_that_exist():
    budgets = read_budgets()
    assert budgets
    assert {budget.what.split("/")[0] for budget in budgets} <= set(SCENARIOS)
    assert all(budget.why for budget in budgets)


def test_a_busy_or_throttled_machine_gives_warnings():
    assert conditions_of(others=0.01, stolen=0.0, throttled=0).warnings == ()
    warnings = conditions_of(others=0.2, stolen=0.1, throttled=3, clock=(2500.0, 1500.0)).warnings
    words = ("the machine was busy", "the host was busy", "throttled 3 times", "from 2500 to 1500 MHz")
    assert [word in warning for word, warning in zip(words, warnings, strict=True)] == [True] * 4


def test_a_series_summarizes_its_values():
    series = Series()
    for _ in range(8):
        series.add([float(value) for value in range(1, 101)])
    tail = series.figure("s", "x", 99, [100.0] * 8)
    assert (tail.value, tail.n, tail.percentiles["max"]) == (99.0, 800, 100.0)
    assert tail.early_stopping == 100.0
    assert tail.low < 99.0 < tail.high
    few = Series()
    few.add([1.0, 2.0])
    assert few.figure("s", "x", 99).early_stopping is None
    assert "MLPerf requires 662" in few.figure("s", "x", 99).note


def test_normalized_rounds_are_the_median_ratios_within_turns():
    series = Series()
    series.add_turns([[2.0, 2.0], [4.0, 4.0], [2.0, 2.0]], [[1.0], [2.0], [1.0]])
    assert series.figure("s", "x", 50).normalized == (2.0,)


def test_the_ratio_of_a_rate_is_floor_over_figure():
    assert rate("s", "x", [50.0, 50.0], floor=("bare", [100.0, 100.0])).floor.ratio == 2.0


def test_the_ratio_to_a_floor_is_taken_within_turns():
    series = Series()
    for slow in (1.0, 2.0, 1.0, 2.0, 2.0):
        series.add_turns([[1.1 * slow, 9.0], [1.1]], floor=[[1.0 * slow, 9.0], [1.0]])
    floor = series.figure("s", "x", 50, floor=("bare", 2.0)).floor
    assert floor.ratio == pytest.approx(1.1)
    assert 1.0 < floor.low < 1.1 < floor.high < 1.2


def test_the_table_has_a_cell_for_each_column():
    assert {len(row) for row in figure_rows(drawn_report(0))} == {len(FIGURES)}
    assert [number(value) for value in (0.0, 1234.5, 12.345, 0.01234)] == ["0", "1234", "12.3", "0.0123"]


def test_the_schema_of_the_json_is_closed():
    content = msgspec.to_builtins(drawn_report(0))
    content["surprise"] = 1
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(content, type(drawn_report(0)))
    assert [figure["name"] for figure in content["figures"]] == list(PARTS)
