"""How much memory a call that is made again and again takes."""

import tracemalloc

CALLS = 20


def allocated(call):
    """Bytes at the peak and at the end of many calls, beyond what there was after the first."""
    call()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(CALLS):
            call()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before, after - before
