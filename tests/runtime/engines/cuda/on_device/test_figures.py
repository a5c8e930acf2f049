"""What a GPU is measured with, run over the test driver: its figures are those of a test, the way to them is real."""

import pytest
from bundles import senses_bundle
from host_double import host_double

import mm_edge.benchmarks.gpu as bench
from mm_edge.bundle import Bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    with Bundle.open(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb", golden=True, layers=2)) as opened:
        yield opened


@pytest.mark.parametrize("graphs", [True, False])
def test_a_way_of_running_is_timed(driver, device, bundle, graphs):
    def opener(config, *_):
        return host_double(device, use_graphs=config.options["graphs"])

    shown = bench.timed(bundle, "double", 2.0, graphs=graphs, depth=2, opener=opener)
    assert set(shown.device_ms) == {"encode_image", "encode_text", "fuse"}
    assert 0 < shown.device_ms["fuse"] < shown.device_ms["encode_image"]
    assert 0 < shown.host_ms_a_tick < shown.p50_ms
    assert shown.rate_ratio > 0
    assert set(shown.graphs_told.values()) == {"captured" if graphs else "not asked for"}


def test_what_a_camera_sets_off(bundle):
    assert bench.on_the_way(bundle, "input:image") == ["encode_image", "fuse"]
    assert bench.on_the_way(bundle, "input:text") == ["encode_text", "fuse"]
