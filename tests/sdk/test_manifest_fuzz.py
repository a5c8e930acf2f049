"""Whatever stands in manifest.json, the command answers: no traceback, and no belief without a signature."""

import json

import pytest
from broken_bundle import BrokenBundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_bundle import FILES, make_manifest

from mm_edge.bundle.bundle import MANIFEST_FILE, SIGNATURE_FILE
from mm_edge.bundle.manifest import encode_manifest
from mm_edge.bundle.signing import generate_keys
from mm_edge.bundle.writer import write_bundle

GOOD = encode_manifest(make_manifest())
TREE = json.loads(GOOD)
MANY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def paths_of(tree, head=()):
    """Every place of the manifest, as the keys that lead there."""
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield (*head, key)
        yield from paths_of(child, (*head, key))


PLACES = list(paths_of(TREE))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@st.composite
def changed_trees(draw):
    """The good manifest with up to four places replaced, removed or added to."""
    tree = json.loads(GOOD)
    for path in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=4)):
        where = tree
        try:
            for key in path[:-1]:
                where = where[key]
            kind = draw(st.sampled_from(["replace", "remove", "add"]))
            if kind == "remove":
                del where[path[-1]]
            elif kind == "add" and isinstance(where, dict):
                where[draw(st.text())] = draw(VALUES)
            else:
                where[path[-1]] = draw(VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change has taken that place away
    return json.dumps(tree, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@st.composite
def changed_bytes(draw):
    """The good manifest with some bytes put in the place of others."""
    raw = bytearray(GOOD)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 40)))
        raw[start:end] = draw(st.binary(max_size=40))
    return bytes(raw)


RAW = st.one_of(changed_trees(), changed_bytes(), st.binary(max_size=400))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A signed bundle as a folder, whose manifest the tests put other bytes into."""
    folder = tmp_path_factory.mktemp("fuzz")
    private, public = generate_keys(folder / "keys")
    write_bundle(folder / "bundle", make_manifest(), FILES, private)
    return folder / "bundle", public


@MANY
@given(raw=RAW)
def test_signed_bundle_believes_no_other_manifest(raw, bundle, refused):
    path, public = bundle
    (path / MANIFEST_FILE).write_bytes(raw + b" " if raw == GOOD else raw)
    refused("verify", path, "--key", public)


@MANY
@given(raw=RAW)
def test_unsigned_bundle_is_refused_or_read_to_the_end(raw, tmp_path, command):
    path = tmp_path / "bundle"
    bundle = BrokenBundle()
    bundle.members[MANIFEST_FILE] = raw
    bundle.as_folder(path)
    for verb in (["verify"], ["inspect"], ["inspect", "--json"]):
        outcome = command(*verb, path)
        assert outcome.code in {0, 2}, outcome
        assert "Traceback" not in outcome.err
        assert outcome.err.count("\n") == (1 if outcome.code else 0)
        assert bool(outcome.out) == (outcome.code == 0)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bundle"]


@MANY
@given(raw=st.binary(max_size=600))
def test_no_signature_file_is_believed(raw, bundle, refused):
    path, public = bundle
    (path / MANIFEST_FILE).write_bytes(GOOD)
    kept = (path / SIGNATURE_FILE).read_bytes()
    try:
        (path / SIGNATURE_FILE).write_bytes(raw)
        refused("verify", path, "--key", public)
    finally:
        (path / SIGNATURE_FILE).write_bytes(kept)
