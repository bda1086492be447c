"""The README's pictures, from a running demo.

    make demo                                   (in another terminal)
    .venv/bin/python docs/pictures/take.py http://127.0.0.1:8000 USER PASSWORD

Needs requirements-dev.txt and a Chromium. Writes dashboard.png, leads.png and call.png beside itself.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main(address: str, user: str, password: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{address}/admin/login/")
        page.get_by_label("Username").fill(user)
        page.get_by_label("Password").fill(password)
        page.get_by_label("Password").press("Enter")
        page.wait_for_url("**/admin/")
        take(page, f"{address}/admin/", "dashboard")
        take(page, f"{address}/admin/calls/lead/", "leads")
        page.goto(f"{address}/admin/calls/call/?meaning=interested&outcome=connected")
        page.locator("#result_list tbody tr a").first.click()
        page.wait_for_load_state("networkidle")
        take(page, page.url, "call")
        browser.close()


def take(page: Page, url: str, name: str) -> None:
    page.goto(url)
    page.wait_for_timeout(1500)
    page.screenshot(path=HERE / f"{name}.png")
    print(f"{name}.png")  # noqa: T201  this is a command


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(sys.argv[1].rstrip("/"), *sys.argv[2:])
