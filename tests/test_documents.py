"""The documents are correct: commands exist, links resolve, examples run, generated pages are up to date."""

import re
import runpy
import subprocess
from pathlib import Path

import pytest
from page_examples import BLOCK
from typer.main import get_command

from mm_edge.cli import app
from mm_edge.config import RunConfig, load_config

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "jetson").rglob("*.md")])
HABITS = "help run dev format lint types test test-slow test-devices test-gpu bench docs site build clean check"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def named(path):
    return str(path.relative_to(ROOT))


def blocks(language):
    return [
        pytest.param(code, id=f"{named(path)}:{place}")
        for path in DOCUMENTS
        for place, (found, _, code) in enumerate(BLOCK.findall(path.read_text()))
        if found == language
    ]


def commands_of(text):
    """Every line of a document that names our command or make: in blocks behind `$ `, and in `code`."""
    shown = [line[2:] for _, _, code in BLOCK.findall(text) for line in code.splitlines() if line.startswith("$ ")]
    inline = re.findall(r"`((?:mm-edge|make) [^`]+)`", BLOCK.sub("", text))
    return [re.split(r"#| \| ", line)[0].strip() for line in [*shown, *inline]]


def test_documents_are_found():
    some = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/guides/torch-model.md"}
    assert some | {"docs/concepts/tick.md", "docs/reference/commands.md"} <= {named(path) for path in DOCUMENTS}
    assert {"make run", "make test", "mm-edge doctor"} <= set(commands_of((ROOT / "README.md").read_text()))


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_link_leads_somewhere(path):
    gone = []
    for link in LINK.findall(BLOCK.sub("", path.read_text())):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue  # the network is not asked
        place = (path.parent / target) if target else path
        if place.suffix == ".webp" and anchor in {"only-light", "only-dark"}:
            anchor = ""  # in which theme the site shows the picture
        if not place.exists() or (anchor and anchor not in headings(place)):
            gone.append(link)
    assert not gone


GENERATED = runpy.run_path(str(ROOT / "docs" / "write_all.py"))["written"]()


@pytest.mark.parametrize("path", GENERATED, ids=named)
def test_generated_files_are_up_to_date(path):
    assert path.read_text() == GENERATED[path], "write it again: make docs"


def test_every_decision_is_in_the_index():
    listed = re.findall(
        r"^\| \d+ \| \[.+\]\((\d{4}-[a-z0-9-]+\.md)\) \|$", (ROOT / "docs/decisions/index.md").read_text(), re.MULTILINE
    )
    assert listed == sorted(path.name for path in (ROOT / "docs/decisions").glob("0*.md"))
    assert len({name[:4] for name in listed}) == len(listed) > 30


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 100


def headings(path):
    lines = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_command_exists(path):
    wrong = []
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in commands_of(path.read_text()):
        program, *words = line.split()
        if program == "make":
            wrong += [line for word in words if re.fullmatch(r"[a-z-]+", word) and word not in targets]
        elif program == "mm-edge" and not known(words):
            wrong.append(line)
    assert not wrong


def known(words):
    """The verb exists, and so does every option that the line gives it."""
    group = get_command(app._command(words))
    verb = words[0] if words and not words[0].startswith("-") else None
    if verb and not re.fullmatch(r"[a-z-]+", verb):
        return True  # a placeholder
    if verb and verb not in group.commands:
        return False
    parameters = [*group.params, *(group.commands[verb].params if verb else [])]
    options = {option for parameter in parameters for option in [*parameter.opts, *parameter.secondary_opts]}
    given = {word.split("=")[0].strip("[]") for word in words if word.lstrip("[").startswith("-") and len(word) > 1}
    return given <= options | {"--help", "-h"}


def test_the_check_of_commands_can_fail():
    assert known(["verify", "x", "--key", "y"])
    assert known(["--install-completion"])
    assert not known(["verify", "x", "--nonsense"])
    assert not known(["nonsense"])


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if "```python" in path.read_text()], ids=named)
def test_every_example_runs(path, examples_of):
    examples_of(path)


@pytest.mark.parametrize("code", blocks("toml"))
def test_every_configuration_is_one(code, tmp_path):
    """What begins with a table of RunConfig is read as the command reads it; other tables belong to other files."""
    (tmp_path / "run.toml").write_text(code)
    tables = {name.split(".")[0] for name in re.findall(r"^\[([\w.]+)\]$", code, re.MULTILINE)}
    assert tables
    if tables & set(RunConfig.__struct_fields__):
        assert load_config(RunConfig, tmp_path / "run.toml") != RunConfig()


def test_make_help_names_every_habit():
    done = subprocess.run(["make", "-s", "-C", ROOT, "help"], capture_output=True, text=True, check=True)
    for habit in HABITS.split():
        assert re.search(rf"^  make {habit} ", done.stdout, re.MULTILINE), habit


def test_readme_opens_with_the_two_commands():
    first = BLOCK.search((ROOT / "README.md").read_text())
    assert [line.split("#")[0].strip() for line in first[3].splitlines()] == ["$ make run", "$ make test"]
