"""Takes the screenshots docs/images/live-page-*.webp: the live page with the demo, desktop and phone, light and dark.

python docs/live_page_images.py [BUNDLE]        needs Debian's chromium and chromium-driver, and selenium
"""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

IMAGES = Path(__file__).parent / "images"
SIZES = {"wide": (1440, 1000, 1.0), "phone": (390, 844, 2.0)}
WATCHED_S = 62.0  # so that every plot shows a full minute
PATIENCE_S = 60.0
LEAST_SCORE = 0.9
DRAWN_WITHIN_S = 1.0  # on a busy machine the page draws later than the run predicts


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    port = _free_port()
    command = [str(Path(sys.executable).with_name("mm-edge")), "run", *sys.argv[1:], "--demo", "--loop", "--quiet"]
    command += ["--text", "the red cube"]  # as `make run` does: a prompt that the page can change
    with subprocess.Popen([*command, "--view", str(port)]) as run, tempfile.TemporaryDirectory() as profile:
        try:
            time.sleep(3.0)
            browser = _browser(Path(profile))
            browser.get(f"http://127.0.0.1:{port}/")
            _unroll(browser, "wide")
            time.sleep(WATCHED_S)
            for size in SIZES:
                for theme in ("light", "dark"):
                    _shoot(browser, port, size, theme)
            browser.quit()
        finally:
            run.terminate()


def _browser(profile: Path) -> Any:
    options = webdriver.ChromeOptions()
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    for flag in (*flags.split(), "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.binary_location = "/usr/bin/chromium"
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def _shoot(browser: Any, port: int, size: str, theme: str) -> None:
    """A screenshot of the whole page, at a moment with a target found."""
    wanted = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)
    width, tall = _unroll(browser, size)
    time.sleep(2.0)
    whole = {"x": 0, "y": 0, "width": width, "height": tall, "scale": 1}
    action = {"format": "webp", "quality": 88, "captureBeyondViewport": True, "clip": whole}
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        first = _finds_something(port)
        time.sleep(DRAWN_WITHIN_S)
        if first and _finds_something(port):
            shot = browser.execute_cdp_cmd("Page.captureScreenshot", action)
            if _finds_something(port):  # the target may have left while the screenshot was taken
                (IMAGES / f"live-page-{size}-{theme}.webp").write_bytes(base64.b64decode(shot["data"]))
                return
    raise SystemExit(f"live-page-{size}-{theme}: no target was found within {PATIENCE_S:.0f} s")


def _unroll(browser: Any, size: str) -> tuple[int, int]:
    """Makes the screen as tall as the page, since only visible parts are drawn."""
    width, height, scale = SIZES[size]
    for _ in range(2):
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": size == "phone"}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        time.sleep(0.5)
        height = browser.execute_script("return document.documentElement.scrollHeight")
    return width, height


def _finds_something(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/state", timeout=5) as answer:
        outputs = json.load(answer)["outputs"]
    found = [value for value in outputs.values() if isinstance(value, dict) and value.get("x") is not None]
    return any(value["score"] > LEAST_SCORE for value in found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
