"""Runs bundles: live sources, aligned and pipelined through the parts."""

import os

# numpy's BLAS starts a thread for each core when it is loaded, and they fight with the lanes: sound that takes 0.13
# ms to
# transform takes 11 ms beside another pool. Whoever wants more sets these variables or imports numpy first.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
