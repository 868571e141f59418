"""The command that starts the app, and what the app asks of other machines: nothing."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from molgen.cli import cli
from tests.app.pages import APP

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("name", "options"), [("SIGTERM", ["--headless"]), ("SIGHUP", [])])
def test_it_starts_without_a_question_and_its_end_is_that_of_the_server(name: str, options: list[str], tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-c", "from molgen.cli import main; main()", "app", f"--port={port}", *options]
    new = os.environ | {"HOME": str(tmp_path), "BROWSER": "true"}  # a user who has never started Streamlit
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    process = subprocess.Popen(words, **quiet, start_new_session=True, env=new)
    try:
        assert any(answers(port) or time.sleep(0.2) for _ in range(300))
        process.send_signal(getattr(signal, name))
        process.wait(60)
        assert not answers(port)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_streamlit_asks_nobody_for_its_address(monkeypatch):
    import serve
    from streamlit import net_util
    from streamlit.web import cli as streamlit
    from streamlit.web.server import server_util

    monkeypatch.setattr(net_util, "_make_blocking_http_get", lambda *_, **__: pytest.fail("asked the internet"))
    monkeypatch.setattr(net_util, "get_external_ip", net_util.get_external_ip)  # put back in the end
    monkeypatch.setattr(streamlit, "main", lambda **_: None)
    serve.main()
    assert not server_util.is_url_from_allowed_origins("http://elsewhere.example")


def test_another_3dmol_than_the_known_one_is_not_used(tmp_path, monkeypatch):
    import viewer

    monkeypatch.setattr(viewer, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(viewer.shutil, "which", lambda name: None)
    viewer.library.cache_clear()
    try:
        (tmp_path / f"3Dmol-{viewer.VERSION}.js").write_text("alert(1)")
        page = viewer.viewer_page("\n\n\n  0  0\nM  END\n", "sticks", True)
        assert "alert(1)" not in page
        assert f'3Dmol-min.js" integrity="sha384-{viewer.SHA384}" crossorigin="anonymous">' in page
    finally:
        viewer.library.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--address", "everywhere"], "everywhere"),
        (["--reference", "nowhere.smi"], "nowhere.smi"),
        (["--model", "nothing"], "nothing"),
        (["--port", "0"], "0"),
    ],
)
def test_the_command_refuses_what_cannot_be(arguments: list[str], reason: str):
    done = CliRunner().invoke(cli, ["app", *arguments])
    assert done.exit_code != 0
    assert reason in str(done.exception) + done.output


def test_the_settings_that_keep_the_app_to_this_machine_are_shipped():
    import tomllib

    settings = tomllib.loads((APP / ".streamlit" / "config.toml").read_text())
    assert settings["server"]["address"] == "127.0.0.1"
    assert settings["server"]["allowedHosts"] == ["localhost", "127.0.0.1"]
    assert settings["server"]["maxUploadSize"] == 20
    assert settings["client"] == {"showErrorDetails": "none", "toolbarMode": "viewer", "disableDataExport": True}
    assert settings["browser"]["gatherUsageStats"] is False
