"""The commands `zoo` and `train`, and the arguments that they refuse."""

import json

import pytest

from mm_edge import zoo
from mm_edge.cli.app import run
from mm_edge.errors import InputError, UnavailableError
from mm_edge.zoo import catalog
from mm_edge.zoo.ship import ship
from mm_edge.zoo.weights import read_weights, write_weights


def test_zoo_lists_models_with_their_cards(capsys):
    assert run(["zoo", "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)
    assert set(cards) == set(zoo.names())
    assert all({"takes", "gives", "data", "limits", "trained"} <= set(card) for card in cards.values())
    assert run(["zoo"]) == 0
    assert "tabletop" in capsys.readouterr().out


@pytest.mark.parametrize("source", ["scout", "zoo:nothing"])
def test_train_refuses_what_is_not_in_the_zoo(source, capsys):
    assert run(["train", source]) == 2
    assert "Give one of: zoo:scout" in capsys.readouterr().err


def test_missing_start_weights_are_reported_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wanted = tmp_path / "nowhere.safetensors"
    assert run(["train", "zoo:scout", "--start", str(wanted), "--out", str(tmp_path / "run")]) != 0
    assert "nowhere.safetensors" in capsys.readouterr().err.replace("\n", "")
    assert not (tmp_path / "cache").exists()


def test_an_unknown_model_is_refused():
    with pytest.raises(KeyError, match="available: scout"):
        zoo.load("nothing")


def test_missing_weights_name_the_command_that_makes_them(monkeypatch, tmp_path):
    monkeypatch.setattr(catalog, "WEIGHTS_FOLDER", tmp_path)
    with pytest.raises(UnavailableError, match="mm-edge train zoo:scout"):
        zoo.load("scout")


def test_weights_are_restored_exactly_and_mismatches_are_refused(tmp_path):
    import torch

    model, other = (catalog.entry("scout").build() for _ in range(2))
    write_weights(model, tmp_path / "w.safetensors")
    read_weights(other, tmp_path / "w.safetensors", "scout")
    for one, two in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(one, two)
    (tmp_path / "torn").write_bytes((tmp_path / "w.safetensors").read_bytes()[:5000])
    with pytest.raises(InputError, match="not a valid safetensors file"):
        read_weights(other, tmp_path / "torn", "scout")
    write_weights(model.fusion, tmp_path / "part")
    with pytest.raises(InputError, match="does not match the model"):
        read_weights(other, tmp_path / "part", "scout")


def test_scout_takes_and_gives_what_its_spec_says():
    import torch

    model = catalog.entry("scout").build().eval()
    spec = model.spec
    feeds = [
        torch.zeros(2, 160, 160, 3, dtype=torch.uint8),
        torch.zeros(2, 16_000),
        torch.ones(2, 16, dtype=torch.int64),
    ]
    with torch.inference_mode():
        outputs = model(*feeds, torch.ones(2, 3))
    assert {name for output in spec.outputs for name in output.reads.values()} == set(outputs)
    assert outputs["command"].shape == (2, len(spec.outputs[0].labels))
    assert outputs["target"].shape == (2, 2)
    assert model.files["tokenizer.json"].startswith(b"{")
    weights = 4 * sum(p.numel() for p in model.parameters())
    assert weights < 2_400_000  # bytes: with filters and golden samples the bundle stays under 3 MB


@pytest.mark.parametrize(
    ("report", "found"), [(None, "no report.json"), ({"model": "scout", "quick": True}, "a --quick run")]
)
def test_an_unfinished_run_is_not_shipped(report, found, tmp_path):
    if report is not None:
        (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(InputError, match=found):
        ship("scout", tmp_path)
