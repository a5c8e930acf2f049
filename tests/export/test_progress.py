"""Steps are told with their time, and those of a row with what is left."""

from mm_edge.export import workspace


def test_steps_are_told_with_their_time_and_what_is_left(capsys, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(workspace.time, "monotonic", lambda: next(clock))
    told = workspace.TerminalProgress()
    for number in (1, 2, 3):
        with told.step("int8", number, 3):
            pass
    with told.step("write"):
        pass
    first, second, third, last = capsys.readouterr().err.splitlines()
    assert first == "  int8 (1 of 3): 10.0 s"
    assert second == "  int8 (2 of 3, about 60 s left): 20.0 s"
    assert "3 of 3" in third
    assert last == "  write: 10.0 s"


def test_a_step_that_fails_is_not_told_as_done(capsys):
    told = workspace.TerminalProgress()
    try:
        with told.step("write"):
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert "write" not in capsys.readouterr().err
