"""The documentation site builds without a warning, fetches nothing from elsewhere, and is searchable offline."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).parent.parent
QUIET = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # its notice of a successor: docs/decisions/0058
ELSEWHERE = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^\"' >]+", re.IGNORECASE
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        ROOT / "mkdocs.yml",
        "--site-dir",
        folder,
    ]
    done = subprocess.run(build, capture_output=True, text=True, check=False, cwd=ROOT, env=QUIET)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_is_there(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert pages == {path.relative_to(site) for path in site.rglob("*.html")} - {Path("404.html")}


def test_nothing_is_fetched_from_elsewhere(site):
    fetched = {
        (str(page.relative_to(site)), found)
        for page in site.rglob("*.html")
        for found in ELSEWHERE.findall(page.read_text())
        if 'rel="canonical"' not in found
    }
    assert not fetched
    assert ELSEWHERE.search('<script src="https://cdn.example/x.js">')
    assert not list(site.rglob("*.py"))


def test_search_finds_the_guide_without_a_server(site):
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.common.by import By

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1280,900"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        driver.get((site / "index.html").as_uri())
        driver.execute_script("document.querySelector('label[for=__search]').click()")
        driver.find_element(By.CSS_SELECTOR, "input.md-search__input").send_keys("microphone")
        found = results(driver, By.CSS_SELECTOR)
    finally:
        driver.quit()
    assert any("guides/several-sources.html" in link for link in found), found


def results(driver, by):
    """The links of the search's results, once there are some."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        links = [item.get_attribute("href") or "" for item in driver.find_elements(by, "a.md-search-result__link")]
        if links:
            return links
        driver.implicitly_wait(0.5)
    return []
