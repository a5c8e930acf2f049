"""Synthetic bench reports: figures with randomly drawn rounds, so that the true values are known."""

import numpy as np

from mm_edge.benchmarks.bench.figure import SCHEMA, Conditions, Figure, Floor, Machine, Report, Span
from mm_edge.benchmarks.bench.interval import prediction_interval, ratio_error, run_error

PARTS = ("encode_image.fp32", "encode_audio.fp32", "encode_text.fp32", "fuse.fp32", "prepare.image")
QUIET = Conditions(0.0, 0.0, 0, None, None, None, None)


def drawn(
    name, generator, *, slower=1.0, pace=150.0, scatter=0.02, rounds=24, scenario="parts", better="less", floor=True
):
    paces = pace * np.exp(generator.normal(0, 0.1, rounds))
    normalized = slower * 0.01 * np.exp(generator.normal(0, scatter, rounds))
    values = normalized * paces if better == "less" else normalized / paces
    value = float(np.median(values))
    low, high = prediction_interval(value, run_error(values))
    ratios = 1.5 * slower * np.exp(generator.normal(0, scatter / 2, rounds))
    ratio = float(np.median(ratios))
    beside = Floor(
        "the bare engine",
        value / ratio,
        ratio,
        *prediction_interval(ratio, ratio_error(ratios)),
        tuple(map(float, ratios)),
    )
    return Figure(
        scenario=scenario,
        name=name,
        unit="ms",
        statistic="p50",
        better=better,
        value=value,
        low=low,
        high=high,
        n=1000,
        rounds=tuple(map(float, values)),
        pace_us=tuple(map(float, paces)),
        percentiles={"p50": value, "p90": value * 1.1, "p99": value * 1.3, "max": value * 2},
        curve=tuple(float(value * (0.9 + place / 100)) for place in range(51)),
        floor=beside if floor else None,
    )


def report_of(figures, *, kind="x86-2", warnings=(), precision="fp32"):
    conditions = Conditions(0.3, 0.0, 0, None, None, None, None, tuple(warnings)) if warnings else QUIET
    machine = Machine(
        kind, "a processor <of tests>", 2.0, "performance", "none", 8192, {"mm-edge": "0.1.0"}, conditions
    )
    return Report(
        schema=SCHEMA,
        when="2026-01-01T00:00:00+00:00",
        bundle="toy",
        bundle_digest="0" * 16,
        engine={"engine": "onnxruntime", "version": "1", "precision": {"fuse": precision}},
        seconds=60.0,
        round_count=24,
        pace_us=150.0,
        overhead_ns=100.0,
        overhead_of_shortest=0.001,
        machine=machine,
        figures=tuple(figures),
        spans=(Span("mm-edge-worker-0", "fuse", 7, 0.0, 1.0), Span("mm-edge-worker-1", "decode", 7, 1.0, 1.2)),
        ages={"image, idle": ((0.0, 4.0), (0.03, 4.5), (0.06, 4.1))},
        notes=("a note",),
    )


def drawn_report(seed, *, slower=1.0, pace=150.0, slow_part=PARTS[0], **changes):
    generator = np.random.default_rng(seed)
    figures = [drawn(name, generator, slower=slower if name == slow_part else 1.0, pace=pace) for name in PARTS]
    return report_of(figures, **changes)
