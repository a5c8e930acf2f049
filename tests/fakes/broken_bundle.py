"""The members of a good bundle, to be spoiled and then written without any of the writer's care."""

import json
import zipfile
from pathlib import Path

from small_bundle import FILES, make_manifest

from mm_edge.bundle.bundle import MANIFEST_FILE
from mm_edge.bundle.manifest import encode_manifest

A_FILE = "parts/fuse/fp32.onnx"


class BrokenBundle:
    def __init__(self) -> None:
        self.members = {MANIFEST_FILE: encode_manifest(make_manifest()), **FILES}

    def manifest(self, change) -> None:
        tree = json.loads(self.members[MANIFEST_FILE])
        change(tree)
        self.members[MANIFEST_FILE] = json.dumps(tree).encode()

    def as_folder(self, path: Path) -> Path:
        for name, content in self.members.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        return path

    def as_zip(self, path: Path, compression=zipfile.ZIP_STORED) -> Path:
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in self.members.items():
                archive.writestr(name, content)
        return path
