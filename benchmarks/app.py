"""How fast the app answers: first page, first molecules, a filter on 10,000, a report on 300, memory with ten visitors.

python benchmarks/app.py

Starts the app as `molgen app` does and uses it in a headless Chromium, which needs a part of the same cores; known
molecules are in molgen's cache before the clock starts. Linux only (memory is read from /proc).
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from faults_tools import app
from playwright.sync_api import Page, sync_playwright
from processes import memory

from molgen.data.prepared import prepare

VISITORS = 10
MANY, JUDGED = 10_000, 300  # molecules that are filtered, and that a report is written on
WAIT = 600_000  # milliseconds


def seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def opened(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Make molecules").wait_for()


def make(page: Page, address: str, count: int, seed: int) -> tuple[float, float]:
    """Seconds from the click to the first structure and to the end."""
    opened(page, f"{address}/?num={count}&seed={seed}")
    page.wait_for_timeout(1_000)
    begun = time.perf_counter()
    page.get_by_role("button", name="Make molecules").click()
    page.get_by_test_id("stImage").first.wait_for()
    first = time.perf_counter() - begun
    page.get_by_text("The same molecules on the command line").wait_for()
    return first, time.perf_counter() - begun


def judge(page: Page, address: str, file: Path) -> None:
    """Bring a file and wait until it is judged."""
    page.goto(f"{address}/score")
    page.get_by_test_id("stMain").locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Judge the file").click()
    page.get_by_role("link", name="Look at them and filter").wait_for()


def narrow(page: Page, part: str, before: str) -> str:
    """Ask for a part, and wait for the number of molecules that have it."""
    field = page.get_by_label("Has the part (SMARTS)")
    field.fill(part)
    field.press("Enter")
    count = page.locator("[data-testid=stMarkdown]", has_text=f"of {MANY:,} molecules").first
    changed = "([element, before]) => element.isConnected && element.innerText !== before"
    page.wait_for_function(changed, arg=[count.element_handle(), before])
    return count.inner_text()


def report(page: Page, address: str) -> None:
    page.get_by_role("button", name="Judge and write the report").click()
    page.get_by_role("button", name="report.html").wait_for()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    smiles = prepare("qm9").smiles("test")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        many, judged = Path(folder) / "many.smi", Path(folder) / "judged.smi"
        many.write_text("\n".join(smiles[:MANY]), encoding="utf-8")
        judged.write_text("\n".join(smiles[:JUDGED]), encoding="utf-8")
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])

        def visitor() -> Page:
            page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
            page.set_default_timeout(WAIT)
            return page

        process, address = app()
        try:
            print("| what | |\n|---|---|")

            def tell(what: str, value: float, unit: str = "s") -> None:
                print(f"| {what}, {unit} | {value:.2f} |", flush=True)

            page = visitor()
            tell("first page of a server that has just started", seconds(lambda: opened(page, address)))
            first, whole = make(page, address, 100, 1)
            tell("first molecule, the model not yet loaded", first)
            tell("all of 100, judged and compared", whole)
            page = visitor()
            tell("first page of the next visitor", seconds(lambda: opened(page, address)))
            first, whole = make(page, address, 100, 2)
            tell("first molecule, the model loaded", first)
            tell("all of 100", whole)
            page = visitor()
            tell(f"a file of {MANY:,}, judged and compared", seconds(lambda: judge(page, address, many)))

            def look() -> None:
                page.get_by_role("link", name="Look at them and filter").click()
                page.get_by_test_id("stImage").nth(23).wait_for()

            tell(f"cards of {MANY:,} (24 to a page)", seconds(look))
            before = page.locator("[data-testid=stMarkdown]", has_text=f"of {MANY:,} molecules").first.inner_text()
            for part in ("[#7]", "c1ccccc1"):
                begun = time.perf_counter()
                before = narrow(page, part, before)
                tell(f"filter of {MANY:,} by the part {part}", time.perf_counter() - begun)
            page = visitor()
            judge(page, address, judged)
            page.get_by_role("link", name="Screen them and write a report").click()
            page.get_by_role("button", name="Judge and write the report").wait_for()
            tell(f"report on {JUDGED}, the first since the server started", seconds(lambda: report(page, address)))
            page = visitor()
            judge(page, address, judged)
            page.get_by_role("link", name="Screen them and write a report").click()
            page.get_by_role("button", name="Judge and write the report").wait_for()
            tell(f"report on {JUDGED}, the next", seconds(lambda: report(page, address)))
            for number in range(VISITORS):
                make(visitor(), address, 100, 10 + number)
            tell(f"memory of the server with {VISITORS} more visitors, each with a set", memory(process.pid), "GB")
        finally:
            browser.close()
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    main()
