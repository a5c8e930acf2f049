"""The startup time of mm-edge stays within its budgets."""

from mm_edge.benchmarks.studies.startup import BARE, COMMANDS, HELP_BUDGET_S, IMPORT_BUDGET_S, Startup, measure, report


def test_startup_meets_its_budgets():
    startup = measure(runs=4)
    assert startup.import_above_bare_s < IMPORT_BUDGET_S
    assert startup.help_s < HELP_BUDGET_S
    assert startup.good


def test_an_exceeded_budget_is_reported():
    slow = Startup(cpu={name: 0.01 if name == BARE else 0.6 for name in COMMANDS}, wall=dict.fromkeys(COMMANDS, 0.6))
    assert not slow.good
    assert "590 ms above bare Python (budget: 150 ms)" in report(slow)
    assert "EXCEEDED" in report(slow)
