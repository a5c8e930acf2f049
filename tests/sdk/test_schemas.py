"""The JSON Schemas: up to date, and satisfied by the real output of the commands and by the shipped files."""

import json
from pathlib import Path

import jsonschema
import pytest

from mm_edge.bundle.bundle import MANIFEST_FILE, Bundle
from mm_edge.cli import schemas
from mm_edge.shipped import default_bundle, schema_files

ROOT = Path(__file__).parent.parent.parent


def errors_of(name, document):
    schema = json.loads(schema_files()[name].read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(document)]


def test_the_shipped_schemas_are_those_of_the_records():
    assert set(schema_files()) == set(schemas.RECORDS)
    for name, file in schema_files().items():
        assert file.read_bytes() == schemas.text_of(schemas.RECORDS[name]), f"{name} is out of date: make schemas"


def test_the_lines_of_a_run(tmp_path, command):
    lines = tmp_path / "run.jsonl"
    outcome = command("run", "--demo", "--speed", "max", "--quiet", "--jsonl", lines)
    assert outcome.code == 0, outcome
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {record["kind"] for record in records} == {"prediction", "event", "summary"}
    assert [errors_of(record["kind"], record) for record in (*records[:20], records[-1])] == [[]] * 21
    events = [record for record in records if record["kind"] == "event"]
    assert [errors_of("event", event) for event in events] == [[]] * len(events)


@pytest.mark.parametrize("name", ["doctor", "devices"])
def test_the_json_of_a_command(name, command):
    document = json.loads(command(name, "--json").out)
    assert errors_of(name, document) == []


def test_a_recorded_bench_report():
    assert errors_of("bench", json.loads((ROOT / "benchmarks/results/bench.json").read_text())) == []


def test_the_manifest_of_the_shipped_bundle():
    with Bundle.open(default_bundle()) as bundle:
        manifest = json.loads(bundle._container.read(MANIFEST_FILE))
    assert errors_of("manifest", manifest) == []
    manifest["parts"][0]["kind"] = "unknown"
    assert errors_of("manifest", manifest)


def test_a_schema_rejects_a_wrong_document():
    assert errors_of("event", {"kind": "event", "t_ns": "soon", "source": "mic", "state": "lost", "detail": ""})
    assert errors_of("devices", {"cameras": [], "microphones": []})


def test_the_command_prints_them(command, refused):
    assert command("schema").out.split() == sorted(schemas.RECORDS)
    assert json.loads(command("schema", "prediction").out) == schemas.schema_of(schemas.RECORDS["prediction"])
    assert "Available schemas: bench, devices" in refused("schema", "nonsense")
