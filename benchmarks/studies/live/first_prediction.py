"""Time to the first prediction and memory of a run, compared with a bare script with the same sessions."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from mm_edge.benchmarks.models.exported import CACHE
from mm_edge.shipped import default_bundle


def first_prediction(repeats: int = 15) -> dict[str, float]:
    """`run --demo` to its first prediction, relative to imports and session creation; memory, to a bare script."""
    bundle = str(default_bundle())
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(CACHE / "bytecode")  # as after an installation: bytecode is cached
    commands = {
        "bare": [sys.executable, "-c", BARE_START, bundle],
        "first_prediction": [sys.executable, "-m", "mm_edge.cli", "run", "--demo", "--jsonl", "-"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(repeats + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
            ) as process:
                next(line for line in process.stdout or () if b'"event"' not in line)
                if turn:  # the first turn fills the caches
                    taken[name].append(time.perf_counter() - began)
                process.kill()
    memory = {
        name: statistics.median(
            float(
                subprocess.run([sys.executable, "-c", code, bundle], capture_output=True, check=True).stdout.split()[-1]
            )
            for _ in range(3)
        )
        for name, code in {"bare": BARE_MEMORY, "loop": LOOP_MEMORY}.items()
    }
    bare_s, ours_s = statistics.median(taken["bare"]), statistics.median(taken["first_prediction"])
    return {
        "bare_s": bare_s,
        "first_prediction_s": ours_s,
        "ratio": ours_s / bare_s,
        "ratio_of_the_best": min(taken["first_prediction"]) / min(taken["bare"]),
        "bare_rss_mb": memory["bare"],
        "loop_rss_mb": memory["loop"],
        "rss_ratio": memory["loop"] / memory["bare"],
    }


# numpy, cv2, onnxruntime and the bundle's sessions: the minimum of any script before its first prediction.
BARE_START = """
import sys, zipfile, numpy, cv2, onnxruntime as ort
options = ort.SessionOptions(); options.intra_op_num_threads = 1
with zipfile.ZipFile(sys.argv[1]) as bundle:
    names = bundle.namelist()
    best = {n.split(".")[0]: n for kind in ("fp32", "int8-cpu") for n in names if n.endswith(f"{kind}.onnx")}
    sessions = [ort.InferenceSession(bundle.read(name), options) for name in best.values()]
print("loaded", flush=True)
"""
RSS = """
import os
print(int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, flush=True)
os._exit(0)
"""
BARE_MEMORY = f"""
{BARE_START}
kinds = {{"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(int64)": "int64"}}
for session in sessions:
    shapes = {{i.name: [d if isinstance(d, int) else 1 for d in i.shape] for i in session.get_inputs()}}
    session.run(None, {{i.name: numpy.zeros(shapes[i.name], kinds[i.type]) for i in session.get_inputs()}})
{RSS}
"""
LOOP_MEMORY = f"""
import sys
import mm_edge
with mm_edge.open(sys.argv[1], camera="synthetic", mic="synthetic", text="the red ball") as session:
    for prediction in session:
        break
{RSS}
"""
