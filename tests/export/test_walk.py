"""How many files a reader enters who follows one model through the export, until its bundle is written."""

import os
import sys
import threading
from pathlib import Path

from handmade_graphs import source_model

import mm_edge.export
from mm_edge.export.pipeline import export
from mm_edge.export.recipe import Recipe

MOST_FILES = 20  # 40 before the rooms were drawn; a model of the zoo enters these and sources/torch_module.py
FOLDER = Path(mm_edge.export.__file__).parent


def files_entered(run):
    """The files of export/ in which `run` calls at least one function."""
    found = set()
    folder = f"{FOLDER}{os.sep}"

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(folder) and frame.f_code.co_name != "<module>":
            found.add(frame.f_code.co_filename.removeprefix(folder))

    before = sys.getprofile()
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
        threading.setprofile(None)
    return found


def test_a_walk_of_one_model_stays_short(tmp_path):
    """With a tolerance that int8 reaches only after a search for nodes that stay fp32."""
    recipe = Recipe(precisions=("fp32", "fp16", "int8-cpu"), split="always", tolerance=0.012)
    entered = files_entered(lambda: export(source_model(), tmp_path / "x.mmb", recipe))
    assert {"pipeline.py", "split/partition.py", "graphs/fp16.py", "precision/int8.py"} <= entered
    assert {"precision/remainder.py", "precision/chain_gate.py", "package/pack.py"} <= entered
    assert len(entered) <= MOST_FILES, sorted(entered)
