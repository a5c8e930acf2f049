"""The page in a real Chromium: it loads fast, draws, takes input, reports errors, and is accessible."""

import contextlib
import shutil
import time
from importlib.resources import files
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="needs selenium")
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's packages chromium and chromium-driver"),
]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WIDE, PHONE = (1440, 1000), (390, 844)


@pytest.fixture
def browse(tmp_path):
    """Opens browsers with separate profiles; at the end none may have logged an error."""
    opened = []

    def start(size=WIDE, *, dark=False):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--window-size={size[0]},{size[1]}", f"--user-data-dir={tmp_path / str(len(opened))}"):
            options.add_argument(flag)
        if size == PHONE:
            metrics = {"width": size[0], "height": size[1], "pixelRatio": 2.0, "mobile": True, "touch": True}
            options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        browser = webdriver.Chrome(options=options, service=Service(DRIVER))
        opened.append(browser)
        media = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        return browser

    start.tolerated = ()
    yield start
    logged = [entry for browser in opened for entry in browser.get_log("browser")]
    for browser in opened:
        browser.quit()
    assert not [entry for entry in logged if not any(word in entry["message"] for word in start.tolerated)]


def until(browser, script, seconds=5.0):
    """Waits until a script returns a true value; returns it and the time that took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if found := browser.execute_script(f"return {script}"):
            return found, time.monotonic() - began
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {script}")


def text_of(element):
    return f"document.getElementById('{element}').textContent"


def test_it_loads_within_a_second(serve, browse):
    server, _ = serve()
    browser = browse()
    first_ms = []
    for _ in range(3):  # the best of three: other load on the machine is not the page's fault
        browser.get(server.link)
        until(browser, "window.drawn.first")
        first_ms.append(browser.execute_script("return window.drawn.first"))
    assert min(first_ms) < 1000, first_ms


def busy_share(seconds=1.0):
    """The share of all cores used by other work."""

    def ticks():
        every = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
        return sum(every), every[3] + every[4]  # idle, and waiting for I/O

    total, idle = ticks()
    time.sleep(seconds)
    later, later_idle = ticks()
    return 1 - (later_idle - idle) / (later - total)


def test_it_draws_nearly_every_frame_for_ten_seconds(serve, browse):
    if busy_share() > 0.15:
        pytest.skip("the machine is busy; Chromium renders on the CPU here")
    server, robot = serve()
    browser = browse()
    browser.get(server.link)
    until(browser, "window.drawn.frames > 10")
    shares = []
    for _ in range(3):
        drawn, made = browser.execute_script("return window.drawn.frames"), robot.seq
        time.sleep(10)
        drawn, made = browser.execute_script("return window.drawn.frames") - drawn, robot.seq - made
        shares.append(drawn / made)
        if shares[-1] >= 0.95:
            break
    assert max(shares) >= 0.95, shares


def test_a_typed_prompt_reaches_the_next_prediction(serve, browse):
    server, robot = serve()
    browser = browse()
    browser.get(server.link)
    until(browser, f"{text_of('prompt-state')} == 'Prompt in use: “the red ball”'")
    ActionChains(browser).send_keys("/").perform()
    box = browser.switch_to.active_element
    assert box.get_attribute("id") == "prompt"
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys('<img src=x onerror="window.hacked=1"> & "quotes"', Keys.ENTER)
    until(browser, f"{text_of('prompt-state')}.startsWith('Prompt in use: “<img')")
    assert robot.used[-1] == '<img src=x onerror="window.hacked=1"> & "quotes"'
    # Data, never markup: not in the page, not in the list of prompts.
    assert browser.execute_script("return [window.hacked ?? null, document.images.length]") == [None, 0]
    browser.find_element(By.XPATH, "//ul[@id='texts']//button[.='the red ball']").click()
    until(browser, f"{text_of('prompt-state')} == 'Prompt in use: “the red ball”'")
    assert robot.used[-1] == "the red ball"


def test_a_lost_source_is_shown_within_a_second_and_recovers(serve, browse):
    server, robot = serve()
    browser = browse()
    browser.get(server.link)
    until(browser, f"{text_of('health')} == 'OK'")
    robot.mic_connected = False
    robot.report("mic", "lost", "no audio for 500 ms")
    _, seconds = until(browser, f"{text_of('health')} == 'Degraded, mic lost'")
    assert seconds < 1
    assert "no audio for 500 ms" in browser.find_element(By.ID, "inputs").text
    assert "mic: lost, no audio for 500 ms" in browser.find_element(By.ID, "events").text
    robot.mic_connected = True
    robot.report("mic", "live")
    _, seconds = until(browser, f"{text_of('health')} == 'OK'")
    assert seconds < 1


def test_a_lost_camera_is_not_hidden_by_its_last_image(serve, browse):
    server, robot = serve()
    browser = browse()
    browser.get(server.link)
    until(browser, "window.drawn.frames > 5")
    robot.feeding.clear()
    robot.report("camera", "lost", "it was unplugged")
    until(browser, "document.querySelector('.stage').hasAttribute('data-stale')", 3)
    until(browser, f"{text_of('health')}.startsWith('Degraded, no prediction for')", 3)
    robot.feeding.set()
    robot.report("camera", "live")
    until(browser, "!document.querySelector('.stage').hasAttribute('data-stale')", 3)


CANVASES = "[...document.querySelectorAll('canvas')].map((canvas) => canvas.toDataURL())"


def test_every_plot_moves(serve, browse):
    server, _ = serve()
    browser = browse((1440, 2000))  # what is off screen is not drawn
    browser.get(server.link)
    until(browser, "document.querySelectorAll('canvas').length == 13", 5)  # camera, 2 of audio, 4 outputs, 6 stages
    time.sleep(1)
    before = browser.execute_script(f"return {CANVASES}")
    time.sleep(1.2)
    after = browser.execute_script(f"return {CANVASES}")
    assert [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a == b] == []


def test_a_lost_connection_is_shown_and_restored(serve, browse):
    browse.tolerated = ("WebSocket connection", "ERR_CONNECTION_REFUSED")
    server, robot = serve(feed=False)
    for _ in range(3):
        server.take(robot.predict())
    browser = browse()
    browser.get(server.link)
    until(browser, f"{text_of('model')} == 'scout v3'")
    server.close()
    until(browser, "!document.getElementById('disconnected').hidden")
    assert browser.execute_script(f"return {text_of('health')}") == "Disconnected"
    from mm_edge.runtime.view.server import ViewServer

    restarted = ViewServer(port=server.port)
    with contextlib.closing(restarted):
        restarted.start()
        until(browser, "document.getElementById('disconnected').hidden", 8)


def test_a_file_is_paused_and_stepped_by_keys(serve, browse, player):
    server, _ = serve(controls=player)
    browser = browse()
    browser.get(server.link)
    until(browser, "!document.getElementById('pause').hidden")
    browser.find_element(By.TAG_NAME, "body").send_keys(" ")
    until(browser, "!document.getElementById('step').hidden")
    assert player.paused
    until(browser, f"{text_of('health')} == 'Paused'")
    browser.find_element(By.TAG_NAME, "body").send_keys("..")
    until(browser, f"{text_of('pause')} == 'Resume'")
    assert player.steps == 2
    browser.find_element(By.ID, "pause").click()
    until(browser, "document.getElementById('step').hidden")
    assert not player.paused


def test_light_and_dark_by_preference_and_by_key(serve, browse):
    server, _ = serve(feed=False)
    browser = browse(dark=True)
    theme = "document.documentElement.dataset.theme"
    browser.get(server.link)
    until(browser, f"{theme} == 'dark'")
    browser.find_element(By.TAG_NAME, "body").send_keys("t")
    until(browser, f"{theme} == 'light'")
    browser.get(server.link)
    until(browser, f"{theme} == 'light'")  # it is remembered


FOCUSABLE = "[...document.querySelectorAll('a[href], button, input')].filter((e) => e.offsetParent !== null).length"


def test_every_control_is_reachable_by_tab_with_a_visible_focus(serve, browse, player):
    server, _ = serve(controls=player)
    browser = browse()
    browser.get(server.link)
    until(browser, "document.querySelectorAll('#texts button').length > 0")
    count = browser.execute_script(f"return {FOCUSABLE}")
    reached = set()
    for _ in range(count + 3):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        kind, name, outline = browser.execute_script(
            "const e = document.activeElement;"
            "return [e.tagName, e.id || e.textContent || e.href, getComputedStyle(e).outlineStyle]"
        )
        if kind != "BODY":  # the browser's own toolbar comes between the last and the first
            reached.add(name)
            assert outline != "none", name
    assert {"theme", "pause", "prompt", "Set", "the red ball", "State (JSON)", "Metrics", "Video stream"} <= reached


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing_serious(serve, browse, player, size, dark):
    axe = pytest.importorskip("axe_core_python", reason="needs axe-core-python")
    server, robot = serve(controls=player)
    browser = browse(size, dark=dark)
    browser.get(server.link)
    until(browser, "window.drawn.frames > 5")
    robot.report("mic", "lost", "no audio for 500 ms")
    player.pause()
    until(browser, f"{text_of('health')}.startsWith('Degraded')")
    browser.execute_script(files(axe).joinpath("axe.min.js").read_text())
    found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    assert len(found["passes"]) > 15
    serious = [rule for rule in found["violations"] if rule["impact"] in {"serious", "critical"}]
    assert [(rule["id"], [node["html"][:120] for node in rule["nodes"]]) for rule in serious] == []


def test_a_phone_does_not_scroll_sideways(serve, browse):
    server, _ = serve()
    browser = browse(PHONE)
    browser.get(server.link)
    until(browser, "window.drawn.frames > 5")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]


TILES = "[...document.querySelectorAll('#cameras li')]"
PAINTED = (
    "(() => { const c = TILE.querySelector('canvas'); const d = c.getContext('2d').getImageData(0, 0, c.width, 99);"
    " return c.width > 100 && d.data.some((v, i) => i % 4 < 3 && v > 60); })()"
)


def tile(name):
    return f"{TILES}.find((li) => li.dataset.key === '{name}')"


def test_every_camera_has_a_tile_and_one_is_shown_large(two_cameras, browse):
    server, stop = two_cameras
    browse.tolerated = ("Multiple readback operations",)  # of this test
    browser = browse()
    browser.get(server.link)
    for name in ("door", "yard"):
        until(browser, PAINTED.replace("TILE", tile(name)))
        until(browser, f"{tile(name)}.querySelector('.dot').textContent === 'live'")
    pressed = "document.querySelector('#cameras [aria-pressed=true] .name > span').textContent"
    assert browser.execute_script(f"return {pressed}") == "door"
    until(
        browser, "document.getElementById('picture').getAttribute('aria-label').startsWith('Image of the camera door')"
    )
    rows = "[...document.querySelectorAll('#inputs h3 > span:first-child')].map((s) => s.textContent)"
    assert browser.execute_script(f"return {rows}") == ["door", "yard", "audio", "text"]
    browser.find_element(By.CSS_SELECTOR, "#cameras li[data-key=yard] button").click()
    assert browser.execute_script(f"return {pressed}") == "yard"
    until(
        browser, "document.getElementById('picture').getAttribute('aria-label').startsWith('Image of the camera yard')"
    )
    stop["yard"]()
    until(browser, f"{tile('yard')}.firstChild.hasAttribute('data-stale')")
    until(browser, "document.querySelector('.stage').hasAttribute('data-stale')")
    until(browser, f"{tile('door')}.querySelector('.dot').textContent === 'live'")
    before = browser.execute_script("return window.drawn.frames")
    until(browser, f"window.drawn.frames > {before + 10}")


def test_one_camera_has_no_tiles(serve, browse):
    server, _ = serve()
    browser = browse()
    browser.get(server.link)
    until(browser, "window.drawn.frames > 3")
    assert browser.execute_script("return document.getElementById('all-cameras').hidden")
