"""What lies in on_device/ is run in a process of its own, over the test driver (test_on_the_test_driver.py)."""

import os

collect_ignore = [] if "MM_EDGE_ON_DEVICE" in os.environ else ["on_device"]
