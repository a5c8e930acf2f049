"""Viewing a remote run: by address, by link, through ssh, and in the terminal."""

import getpass
import io
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from mm_edge.cli.app import run as command
from mm_edge.errors import UnavailableError, UsageError
from mm_edge.runtime.view.tunnel import tunnel
from mm_edge.runtime.view.watch import Robot, watch_in_text


@pytest.mark.parametrize(
    ("url", "base", "token"),
    [
        ("robot", "http://robot:8700", None),
        ("robot:9000", "http://robot:9000", None),
        ("http://10.0.0.7:8700/?token=abc", "http://10.0.0.7:8700", "abc"),
        ("[::1]:9", "http://[::1]:9", None),
    ],
)
def test_addresses(url, base, token):
    assert Robot.at(url) == Robot(base, token)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://", "robot:port", "ftp://robot", "http://[::1"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(UsageError, match=r"Examples: mm-edge view robot:8700"):
        Robot.at(url)


def test_an_unreachable_robot_and_a_missing_token(serve):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(UnavailableError, match=r"refused.*Check that the run is active"):
            Robot.at(f"127.0.0.1:{probe.getsockname()[1]}").state()
    server, _ = serve(feed=False, token="right")
    with pytest.raises(UsageError, match=r"token is required.*full link"):
        Robot.at(f"127.0.0.1:{server.port}").state()
    assert Robot.at(server.link).state().model == "scout"


def test_the_same_table_without_a_browser(serve):
    server, robot = serve(feed=False)
    for _ in range(3):
        server.take(robot.predict())
    out = io.StringIO()
    over = threading.Event()
    console = Console(file=out, force_terminal=True, width=120, height=50)
    watcher = threading.Thread(target=watch_in_text, args=(Robot.at(server.link), console, over))
    watcher.start()
    while "encode.image" not in out.getvalue():
        time.sleep(0.01)
    over.set()
    watcher.join()
    assert "/dev/video0" in out.getvalue()


def test_the_command_says_in_one_line_what_is_wrong(capsys):
    assert command(["view", "ssh://"]) == 2
    assert command(["view", "run.mcap"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: reaching ssh://: the URL has no host. Example: ssh://me@robot/8700"
    assert len(lines) == 2


@pytest.fixture
def sshd(tmp_path, monkeypatch):
    """A real ssh server for this user alone, and an ssh that trusts it and logs in by key."""
    sshd = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
    if not sshd or not shutil.which("ssh"):
        pytest.skip("needs Debian's package openssh-server")
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/user.pub\n"
        "StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n"
    )
    (tmp_path / "ssh_config").write_text(
        f"StrictHostKeyChecking no\nUserKnownHostsFile {tmp_path}/known\nIdentityFile {tmp_path}/user\nBatchMode yes\n"
    )
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -q -F {tmp_path}/ssh_config "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd's privilege separation directory
    server = subprocess.Popen([sshd, "-D", "-f", str(tmp_path / "sshd_config")], stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"ssh://{getpass.getuser()}@127.0.0.1:{port}"
    server.terminate()
    server.wait()


def test_through_ssh_to_a_page_that_listens_only_on_its_own_machine(serve, sshd):
    server, _ = serve(feed=False)
    with tunnel(f"{sshd}/{server.port}") as port:
        assert port != server.port
        assert Robot.at(f"127.0.0.1:{port}").state().model == "scout"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0  # the tunnel is closed


def test_a_failing_ssh_is_reported(sshd):
    with (
        pytest.raises(UnavailableError, match="ssh exited with code 255"),
        tunnel(sshd.replace("ssh://", "ssh://nobody-")),
    ):
        pass
