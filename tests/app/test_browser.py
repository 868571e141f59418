"""The app's whole story in a real browser, headless Chromium: make, filter, open, draw, take away, upload.

Pictures of the pages go to the folder MOLGEN_SCREENSHOTS where it is set. Skipped where no Chromium is installed,
unless MOLGEN_BROWSER=required.
"""

import csv
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None and os.environ.get("MOLGEN_BROWSER") != "required":
    pytest.skip("no Chromium is installed", allow_module_level=True)

FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
KNOWN = "C CC CCC CCO CCN CCCC CC=O C1CC1 C1CO1 c1ccoc1 c1cc[nH]c1 c1ccccc1 CC(=O)N CCOC C1CCCCC1 CC(C)O OCC=C"
SLOW = 120_000  # milliseconds
CORE = "Core that every molecule contains"  # begins the label of its field


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """The app, started as a user starts it."""
    known = tmp_path_factory.mktemp("app") / "known.smi"
    known.write_text(KNOWN.replace(" ", "\n") + "\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    reference = os.environ.get("MOLGEN_SCREENSHOTS_REFERENCE", str(known))
    program = "from molgen.cli import main; main()"
    words = [sys.executable, "-c", program, "app", "--headless", f"--port={port}", f"--reference={reference}"]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                    break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        os.killpg(server.pid, 15)
        server.wait(10)


@pytest.fixture
def page(address: str, request) -> Iterator[object]:
    """A page in a browser of its own; it may not ask any other machine for anything."""
    outside: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        scheme = getattr(request, "param", "light")
        context = browser.new_context(viewport={"width": 1280, "height": 1000}, color_scheme=scheme)
        opened = context.new_page()
        opened.set_default_timeout(SLOW)
        own = (address, address.replace("http", "ws"), "data:", "blob:")
        opened.on("request", lambda sent: None if sent.url.startswith(own) else outside.append(sent.url))
        yield opened
        browser.close()
    assert outside == []


def picture(page, name: str, height: int = 1000) -> None:
    """Keep a picture of the page where someone wants them."""
    folder = os.environ.get("MOLGEN_SCREENSHOTS")
    if folder:
        page.set_viewport_size({"width": 1280, "height": height})
        settled(page)
        page.wait_for_timeout(2_500)
        page.screenshot(path=Path(folder) / f"{name}.png")
        page.set_viewport_size({"width": 1280, "height": 1000})


def settled(page) -> None:
    """Wait until the page's script has ended."""
    page.wait_for_timeout(400)
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')")


def link(page, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    page.get_by_role("heading", level=1).first.wait_for()
    settled(page)


def downloaded(page, name: str) -> bytes:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name, exact=True).click()
    return Path(waiting.value.path()).read_bytes()


def made(page, address: str, query: str) -> None:
    page.goto(f"{address}/?{query}")
    page.get_by_role("button", name="Make molecules").click()
    page.get_by_text("The same molecules on the command line").wait_for()
    settled(page)


def seen_as(page, view: str) -> None:
    """Look at the molecules in another view."""
    page.get_by_test_id("stButtonGroup").get_by_text(view, exact=True).click()
    settled(page)


def narrowed(page) -> tuple[int, int]:
    """Wait until a filter has left some of the molecules; how many, and of how many."""
    for _ in range(100):
        counted = re.search(r"(\d+) of (\d+) molecules", page.get_by_test_id("stMain").inner_text())
        if counted and 0 < int(counted[1]) < int(counted[2]):
            settled(page)
            return int(counted[1]), int(counted[2])
        page.wait_for_timeout(200)
    raise AssertionError("the filter let all molecules through, or none")


def draw_an_oxygen(page) -> None:
    """Draw one atom in the sketcher on the page, and apply it."""
    frame = page.frame_locator("iframe")
    frame.get_by_title("Oxygen", exact=False).first.click()
    canvas = frame.locator("[data-testid=ketcher-canvas], .Ketcher-root svg, canvas").first
    box = frame.locator("svg").filter(has=page.locator("defs")).last.bounding_box()
    assert canvas is not None and box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    frame.get_by_role("button", name="Apply").click()


def colours(page, frame_locator) -> int:
    """How many colours a frame shows."""
    import numpy as np
    from PIL import Image

    image = Image.open(io.BytesIO(frame_locator.screenshot())).convert("RGB")
    return len(np.unique(np.asarray(image).reshape(-1, 3) // 16, axis=0))


def test_make_filter_open_and_take_away(page, address: str):
    made(page, address, "num=50&seed=7")
    assert "sets=" in page.url
    picture(page, "make", 1250)
    page.get_by_text("Look at all of them").click()
    page.get_by_role("heading", name="Download").wait_for()
    page.get_by_label("Has the part (SMARTS)").fill("[#8]")
    page.keyboard.press("Enter")
    counted = narrowed(page)
    assert "smarts=" in page.url
    picture(page, "look", 1350)
    rows = list(csv.DictReader(io.StringIO(downloaded(page, "CSV").decode())))
    assert len(rows) == counted[0]
    assert all("o" in row["smiles"].lower() for row in rows)
    page.reload()  # all of it is in the address
    page.get_by_text(f"{counted[0]} of {counted[1]} molecules").wait_for()
    seen_as(page, "Table")
    table = page.get_by_test_id("stDataFrame").first
    table.click(position={"x": 17, "y": 95})  # the box of the first row
    page.get_by_text(f"Open {rows[0]['smiles']}").wait_for()
    seen_as(page, "Cards")
    assert page.get_by_role("checkbox", name=f"Tick {rows[0]['smiles']}", exact=True).is_checked()
    page.get_by_text(f"Open {rows[0]['smiles']}").click()
    page.get_by_role("heading", name="One molecule").wait_for()
    assert page.get_by_label("SMILES", exact=True).input_value() == rows[0]["smiles"]
    canvas = page.frame_locator("iframe").locator("canvas")
    canvas.wait_for()
    page.wait_for_timeout(1_500)
    assert colours(page, canvas) > 10  # drawn, shaded atoms: an empty canvas has one
    page.get_by_text("Nearest in").first.wait_for()
    picture(page, "molecule", 1500)
    assert downloaded(page, "PNG").startswith(b"\x89PNG")
    page.go_back()
    page.get_by_text(f"{counted[0]} of {counted[1]} molecules").wait_for()
    assert page.get_by_label("Has the part (SMARTS)").input_value() == "[#8]"
    assert "ticks=" in page.url


def test_a_film_plays(page, address: str):
    page.goto(f"{address}/film")
    frame = page.frame_locator("iframe")
    frame.locator("svg").wait_for()
    first = frame.locator("#p").inner_html()
    frame.get_by_role("button", name="Play").click()
    page.wait_for_function("true")
    page.wait_for_timeout(2_500)
    assert frame.locator("#p").inner_html() != first
    frame.get_by_text("step 50 of 50").wait_for()
    frame.locator("#s").evaluate("(s) => {s.value = 24; s.dispatchEvent(new Event('input'))}")
    picture(page, "film", 760)


def test_a_messy_file_shows_its_rejects_and_runs_nothing(page, address: str):
    alerts: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    content = (
        f'smiles,name,"{hostile}"\nCCO,{hostile},1\n{hostile},x,2\nCC.O,salt,3\nc1ccccc1,=cmd,4\nC(C)(C)(C)(C)C,y,5\n'
    )
    page.goto(f"{address}/score")
    page.get_by_test_id("stMain").locator("input[type=file]").set_input_files(
        [{"name": f"{hostile.replace('/', '')}.csv", "mimeType": "text/csv", "buffer": content.encode()}]
    )
    page.get_by_role("button", name="Judge the file").click()
    page.get_by_text("3 rows rejected").wait_for()
    settled(page)
    picture(page, "judge", 900)
    rejects = list(csv.DictReader(io.StringIO(downloaded(page, "Rejected rows (CSV)").decode())))
    assert [row["reason"] for row in rejects] == [
        "white space inside the SMILES",
        "several fragments",
        "valence of C exceeded",
    ]
    block = f"{hostile}\n     RDKit\n\n  2  1  0  0  0  0  0  0  0  0999 V2000\n"
    block += "    0.0000    0.0000    0.0000 C   0  0\n    1.0000    0.0000    0.0000 O   0  0\n  1  2  1  0\nM  END\n"
    sdf = f"{block}>  <{hostile}>\n{hostile}\n\n$$$$\n"
    page.goto(f"{address}/score")
    page.get_by_test_id("stMain").locator("input[type=file]").set_input_files(
        [{"name": "x.sdf", "mimeType": "text/plain", "buffer": sdf.encode()}]
    )
    page.get_by_role("button", name="Judge the file").click()
    page.get_by_text("Every row is a usable molecule").wait_for()
    link(page, "Look and filter")
    page.get_by_text("1 of 1 molecule").wait_for()
    link(page, "Compare and report")
    page.get_by_role("button", name="Judge and write the report").click()
    page.get_by_role("button", name="report.html").wait_for()
    settled(page)
    assert alerts == []
    html = downloaded(page, "report.html").decode()
    assert "<script" not in html and "onerror=alert" not in html.replace("&lt;img src=x onerror=alert", "")


def test_sets_are_compared(page, address: str):
    made(page, address, "num=60&seed=1")
    page.goto(page.url.replace("num=60", "num=61").replace("seed=1", "seed=2"))
    page.get_by_role("button", name="Make molecules").click()
    page.get_by_role("button", name=re.compile("qm9-digress: .* molecules")).nth(1).wait_for()
    page.get_by_text("The same molecules on the command line").wait_for()
    link(page, "Compare and report")
    page.get_by_role("button", name="Judge and write the report").click()
    page.get_by_role("button", name="report.html").wait_for()
    page.get_by_test_id("stVegaLiteChart").nth(4).locator("svg, canvas").first.wait_for()
    picture(page, "compare", 2900)
    assert page.get_by_test_id("stVegaLiteChart").count() == 5


@pytest.mark.parametrize("page", ["dark"], indirect=True)
def test_dark_pages_are_readable(page, address: str):
    made(page, address, "num=12&seed=1")
    background = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    text = page.evaluate("getComputedStyle(document.querySelector('h1')).color")
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (background, text)]
    assert light[0] < 150 and light[1] > 600
    picture(page, "dark", 1250)


def test_a_drawn_part_filters(page, address: str):
    pytest.importorskip("streamlit_ketcher")
    made(page, address, "num=50&seed=7")
    link(page, "Look and filter")
    page.get_by_text("More filters, columns, drawing").click()
    page.get_by_text("draw a part or a molecule").click()
    draw_an_oxygen(page)
    page.get_by_text("Keep molecules").wait_for()
    narrowed(page)
    picture(page, "sketch", 1500)


def holds(page, label: str, value: str) -> None:
    """Waits until the field whose label begins so holds this."""
    filled = "([label, value]) => document.querySelector(`input[aria-label^='${label}']`)?.value === value"
    page.wait_for_function(filled, arg=[label, value])


def test_a_core_is_drawn_its_atoms_are_clicked_and_it_grows(page, address: str):
    page.goto(f"{address}/?steps-moses-digress=8")
    page.get_by_role("button", name="Grow from a core").click()
    page.wait_for_function("document.querySelector('[data-testid=stMain]').innerText.includes('Click the atoms')")
    settled(page)
    holds(page, CORE, "c1ccc2[nH]ccc2c1")
    page.get_by_role("button", name="atom 5 may grow").click()  # the nitrogen alone
    page.get_by_role("button", name="atom 1 stays as it is").wait_for()
    holds(page, CORE, "c1ccc2n([*:1])ccc2c1")
    page.get_by_role("button", name="atom 6 stays as it is").click()
    page.get_by_role("button", name="atom 6 may grow").wait_for()
    settled(page)
    picture(page, "core", 1400)
    page.get_by_role("spinbutton", name="How many").fill("6")
    page.keyboard.press("Enter")
    settled(page)
    page.get_by_role("button", name="Make molecules").click()
    page.get_by_text("The same molecules on the command line").wait_for()
    page.get_by_text("--core 'c1ccc2n([*:1])c([*:2])cc2c1'").wait_for()
    settled(page)
    picture(page, "grown", 1900)
    page.get_by_role("button", name="Make", exact=True).first.click()
    page.get_by_text("Keep this part").click()
    changed = "([label, before]) => document.querySelector(`input[aria-label^='${label}']`)?.value !== before"
    page.wait_for_function(changed, arg=[CORE, "c1ccc2n([*:1])c([*:2])cc2c1"])
    page.get_by_text("Click the atoms that may grow").wait_for()


def test_a_lead_is_drawn_in_a_window(page, address: str):
    pytest.importorskip("streamlit_ketcher")
    page.goto(f"{address}/?model=moses-digress")
    page.get_by_text("Ask for: what is drawn").click()
    page.get_by_role("button", name="draw icon").last.click()  # the pencil of the lead; the first is that of the core
    page.get_by_role("dialog").wait_for()
    draw_an_oxygen(page)
    page.get_by_role("dialog").wait_for(state="hidden")
    settled(page)
    assert page.get_by_role("textbox", name="Analogues of the molecule (SMILES)").input_value() == "O"


def test_a_project_goes_from_one_visitor_to_another(page, address: str, tmp_path):
    made(page, address, "num=20&seed=3")
    page.get_by_text("Project file", exact=True).click()
    kept = tmp_path / "project.json.gz"
    kept.write_bytes(downloaded(page, "Download all sets"))
    other = page.context.browser.new_context().new_page()
    other.goto(address)
    other.get_by_text("Project file", exact=True).click()
    other.get_by_test_id("stSidebar").locator("input[type=file]").set_input_files(kept)
    other.get_by_role("button", name=re.compile("qm9-digress: .* molecules")).wait_for()
    settled(other)
    link(other, "Look and filter")
    other.get_by_text("molgen generate --model qm9-digress --num 20").wait_for()


def test_a_search_climbs_and_goes_on(page, address: str):
    small = "search-model=qm9-digress&budget=12&batch=6&search-steps-qm9-digress=5&search-seed=1"
    page.goto(f"{address}/improve?{small}")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("link", name="Look at all 12").wait_for()
    settled(page)
    picture(page, "improve", 1400)
    page.get_by_role("spinbutton", name="Molecules in all").fill("18")
    page.keyboard.press("Enter")
    settled(page)
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("link", name="Look at all 18").click()
    page.get_by_role("heading", name="Look and filter").wait_for()
    page.get_by_text("18 of 18 molecules").wait_for()
    assert "score" in page.get_by_test_id("stMain").inner_text()
