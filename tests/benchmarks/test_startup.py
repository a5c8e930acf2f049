"""Starting mm-edge stays within what a user feels."""

from mm_edge.benchmarks.studies.startup import BARE, COMMANDS, HELP_BUDGET_S, IMPORT_BUDGET_S, Startup, measure, report


def test_starting_holds_its_budgets():
    startup = measure(runs=4)
    assert startup.import_above_bare_s < IMPORT_BUDGET_S
    assert startup.help_s < HELP_BUDGET_S
    assert startup.good


def test_a_broken_budget_is_told():
    slow = Startup(cpu={name: 0.01 if name == BARE else 0.6 for name in COMMANDS}, wall=dict.fromkeys(COMMANDS, 0.6))
    assert not slow.good
    assert "590 ms above bare Python, 150 ms allowed" in report(slow)
    assert "BROKEN" in report(slow)
