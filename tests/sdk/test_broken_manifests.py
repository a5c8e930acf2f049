"""A corpus of broken manifests: every one is refused with exit 2 and one message that names what is wrong."""

import pytest
from broken_bundle import A_FILE, BrokenBundle
from small_bundle import make_manifest

from mm_edge.bundle.bundle import MANIFEST_FILE
from mm_edge.bundle.manifest import MAX_MANIFEST_BYTES, encode_manifest


def set_at(path, value):
    """A change of the manifest: puts `value` at the path of keys."""

    def change(tree):
        for key in path[:-1]:
            tree = tree[key]
        tree[path[-1]] = value

    return change


def add_digest(name, size=1):
    return lambda tree: tree["digests"].update({name: {"sha256": "0" * 64, "size": size}})


# What spoils the manifest, and a word of the message that must name it.
MANIFESTS = {
    "unknown format": (set_at(["format"], 2), "format 2"),
    "format as text": (set_at(["format"], "1"), "format"),
    "format missing": (lambda tree: tree.pop("format"), "format"),
    "unknown field at the top": (set_at(["surprise"], 1), "surprise"),
    "unknown field deep down": (set_at(["inputs", 0, "prepare", "surprise"], 1), "surprise"),
    "unknown field that would write to the terminal": (set_at(["\x1b[2J\n\r\u202e"], 1), "\\x1b"),
    "unknown field as long as a book": (set_at(["x" * 1_000_000], 1), "unknown field"),
    "field missing": (lambda tree: tree.pop("sync"), "sync"),
    "path above the bundle": (add_digest("../escape"), "digests"),
    "path above from within": (add_digest("parts/../../escape"), "digests"),
    "absolute path": (add_digest("/etc/passwd"), "digests"),
    "path with a backslash": (add_digest("..\\escape"), "digests"),
    "path with a line end": (add_digest("escape\n"), "digests"),
    "path with a zero byte": (add_digest("escape\0.onnx"), "digests"),
    "hidden file": (add_digest(".profile"), "digests"),
    "artefact above the bundle": (set_at(["parts", 0, "artefacts", "fp32", "file"], "../../x.onnx"), "file"),
    "two files that differ by case": (add_digest(A_FILE.upper().lower().replace("fuse", "Fuse")), "case"),
    "file that is a folder too": (add_digest("parts/fuse"), "both a file and a folder"),
    "size beyond any file": (set_at(["digests", A_FILE, "size"], 1 << 62), "size"),
    "size of a terabyte": (set_at(["digests", A_FILE, "size"], 1 << 40), "size"),
    "negative size": (set_at(["digests", A_FILE, "size"], -1), "size"),
    "size that is not the file's": (set_at(["digests", A_FILE, "size"], 5), "bytes"),
    "image larger than any screen": (set_at(["inputs", 0, "prepare", "size"], [1 << 40, 1 << 40]), "size"),
    "tensor larger than any memory": (set_at(["parts", 0, "gives", 0, "shape"], [1 << 30, 1 << 30]), "elements"),
    "tensor of a billion elements": (set_at(["parts", 0, "gives", 0, "shape"], [1 << 30]), "elements"),
    "tensors that are too large together": (
        lambda tree: tree["parts"][0]["gives"].extend(
            {**tree["parts"][0]["gives"][0], "name": f"x{number}", "shape": [1 << 28]} for number in range(5)
        ),
        "the tensors of all parts",
    ),
    "presence with a history": (
        set_at(["parts", 3, "reads", "image"], {"source": "presence", "history": 4}),
        "with a history",
    ),
    "window of a year": (set_at(["inputs", 1, "prepare", "window"], 1 << 60), "window"),
    "golden samples without end": (set_at(["golden", "samples"], 1 << 40), "samples"),
    "digest that is none": (set_at(["digests", A_FILE, "sha256"], "0" * 63), "sha256"),
    "digest of another file": (set_at(["digests", "tokenizer.json", "sha256"], "0" * 64), "does not match its digest"),
    "two digests of one file": (set_at(["digests", A_FILE, "sha256"], "0" * 64), "two different digests"),
    "file without a digest": (lambda tree: tree["digests"].pop("tokenizer.json"), "no digest"),
    "part that reads what is not there": (set_at(["parts", 3, "reads", "image", "source"], "part:x.y"), "part:x.y"),
    "driver that is no input": (set_at(["sync", "driver"], "lidar"), "lidar"),
    "modality of the future": (set_at(["inputs", 0, "modality"], "smell"), "smell"),
    "name that is a path": (set_at(["name"], "../../small"), "name"),
    "name with a line end": (set_at(["name"], "small\n"), "name"),
    "infinite age": (set_at(["sync", "inputs", "audio", "max_age_ms"], float("inf")), "manifest"),
    "preferred precision that is not there": (set_at(["preferred"], {"cpu": {"fuse": "fp16"}}), "preferred"),
}
RAW_MANIFESTS = {
    "not JSON": (b"[extra]\nname = 1\n", "not a valid manifest"),
    "JSON that is no object": (b"[1, 2]", "not a valid manifest"),
    "empty": (b"", "not a valid manifest"),
    "wrong UTF-8": (encode_manifest(make_manifest()).replace(b'"small"', b'"sm\xff\xfell"'), "utf-8"),
    "UTF-16": (encode_manifest(make_manifest()).decode().encode("utf-16"), "not a valid manifest"),
    "half of it": (encode_manifest(make_manifest())[:700], "not a valid manifest"),
    "two of them": (encode_manifest(make_manifest()) * 2, "not a valid manifest"),
    "nested past any stack": (b'{"format": 1, "card": ' + b"[" * 200_000, "not a valid manifest"),
    "nested format": (b'{"format": ' + b"[" * 900 + b"]" * 900 + b"}", "not a valid manifest"),
    "number of a million digits": (b'{"format": ' + b"9" * 1_000_000 + b"}", "not a valid manifest"),
    "larger than any manifest": (b" " * (MAX_MANIFEST_BYTES + 1), "bytes"),
}


@pytest.mark.parametrize("shape", ["folder", "zip"])
@pytest.mark.parametrize("what", [*MANIFESTS, *RAW_MANIFESTS])
def test_broken_manifests(what, shape, tmp_path, refused_and_clean):
    bundle = BrokenBundle()
    if what in MANIFESTS:
        change, word = MANIFESTS[what]
        bundle.manifest(change)
    else:
        bundle.members[MANIFEST_FILE], word = RAW_MANIFESTS[what]
    path = bundle.as_zip(tmp_path / "b.mmb") if shape == "zip" else bundle.as_folder(tmp_path / "b")
    assert word in refused_and_clean(path)
