"""Accessibility of the app's pages, in light and dark, as axe-core finds it: faults by how serious they are.

python benchmarks/accessibility.py --pictures build/pages

Fetches axe-core from npm, and uses the app in a headless Chromium. Ends with 1 where a page has a serious or critical
fault. --pictures: a folder for screenshots of all pages, 1,280 x 800 and 1,600 x 1,000.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from faults_tools import app
from playwright.sync_api import Page, sync_playwright

AXE = "4.14.1"
SERIOUS = ("critical", "serious")
LEVELS = (*SERIOUS, "moderate", "minor")
SIZES = ((1280, 800), (1600, 1000))
WAIT = 600_000  # milliseconds
MOLECULE = "CC(=O)Nc1ccc(O)cc1"
ROWS = b"smiles,name\nCCO,one\nc1ccccc1O,two\nCC.O,salt\nC(C,bad\n"


def axe(folder: Path) -> str:
    """The script of axe-core."""
    subprocess.run(["npm", "pack", f"axe-core@{AXE}", "--silent"], cwd=folder, check=True, capture_output=True)
    with tarfile.open(next(folder.glob("axe-core-*.tgz"))) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode("utf-8")


def settled(page: Page) -> None:
    """Wait until the page's script has ended."""
    page.wait_for_timeout(800)
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')")
    page.wait_for_timeout(800)


def link(page: Page, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    page.get_by_role("heading", level=1).first.wait_for()
    settled(page)


def pages(page: Page, address: str) -> Iterator[str]:
    """Go from page to page; the name of each that is there."""
    page.goto(address)
    page.get_by_role("button", name="Make molecules").wait_for()
    settled(page)
    yield "first page"
    page.get_by_role("button", name="Grow from a core").click()
    page.get_by_text("Click the atoms that may grow").wait_for()
    settled(page)
    yield "a core"
    page.goto(f"{address}/?num=24&seed=7")
    page.get_by_role("button", name="Make molecules").click()
    page.get_by_text("The same molecules on the command line").wait_for()
    settled(page)
    yield "molecules made"
    link(page, "Look and filter")
    for view in ("Cards", "Table", "Scaffolds", "R groups"):
        page.get_by_test_id("stButtonGroup").get_by_text(view, exact=True).click()
        settled(page)
        yield view.lower()
    link(page, "Compare and report")
    page.get_by_role("button", name="Judge and write the report").click()
    page.get_by_role("button", name="report.html").wait_for()
    settled(page)
    yield "report"
    page.goto(f"{address}/molecule?smiles={MOLECULE}")
    page.get_by_text("Nearest in").first.wait_for()
    settled(page)
    yield "one molecule"
    page.goto(f"{address}/film")
    page.frame_locator("iframe").locator("svg").wait_for()
    settled(page)
    yield "film"
    page.goto(f"{address}/score")
    page.get_by_test_id("stMain").locator("input[type=file]").set_input_files(
        [{"name": "mine.csv", "mimeType": "text/csv", "buffer": ROWS}]
    )
    page.get_by_role("button", name="Judge the file").click()
    page.get_by_text("2 rows rejected").wait_for()
    settled(page)
    yield "a file judged"
    page.goto(f"{address}/improve?search-model=qm9-digress&budget=20&batch=10&search-steps-qm9-digress=10")
    page.get_by_role("button", name="Search", exact=True).wait_for()
    settled(page)
    yield "an objective"
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("button", name="Go on").wait_for()
    settled(page)
    yield "a search"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    serious = 0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        script = axe(Path(folder))
        process, address = app()
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            print(f"| page | {' | '.join(LEVELS)} | which |\n|---|{'---|' * (len(LEVELS) + 1)}", flush=True)
            for scheme in ("light", "dark"):
                page = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=scheme).new_page()
                page.set_default_timeout(WAIT)
                for name in pages(page, address):
                    page.evaluate(script)
                    found = page.evaluate("axe.run({iframes: false}).then((done) => done.violations)")
                    counts = Counter(fault["impact"] for fault in found)
                    serious += sum(counts[level] for level in SERIOUS)
                    cells = [str(counts[level]) for level in LEVELS]
                    which = ", ".join(f"{fault['id']} ({len(fault['nodes'])})" for fault in found)
                    print(f"| {name}, {scheme} | {' | '.join(cells)} | {which} |", flush=True)
                    if options.pictures:
                        take(page, options.pictures, f"{name.replace(' ', '-')}-{scheme}")
        finally:
            browser.close()
            process.terminate()
            process.wait(30)
    sys.exit(serious > 0)


def take(page: Page, folder: Path, name: str) -> None:
    """Pictures of a page in all sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(1_500)
        page.screenshot(path=folder / f"{name}-{width}.png")
    page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})


if __name__ == "__main__":
    main()
