"""The report's page in a real browser: offline, on a phone, on paper, and as it is read aloud."""

import re
from collections.abc import Iterator
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser

from refactorkit.commands.audit.report import ReportRequest, audit_report
from refactorkit.postgres.dsn import Dsn
from tests.support.browser import browser as started
from tests.support.browser import opened
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.databases import Databases
from tests.support.evidence import Signer
from tests.support.refactor import turn

HOSTILE = "<script>document.title='taken'</script><img src=http://elsewhere.invalid/x>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as running:
        yield running


@pytest.fixture(scope="module")
def page_file(
    browser: Browser,  # noqa: ARG001 - without one nothing needs to be made
    databases: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A report with something in every section, and with texts that would be markup."""
    url = databases.create(10)
    folder = tmp_path_factory.mktemp("report")
    open_clinic(url)
    signer = Signer.new(folder)
    with psycopg.connect(url, autocommit=True) as connection:
        turn(connection, "up")
        evidence = signer.anchor(url).file
        work_as_version_11(url)
    audit_report(
        ReportRequest(
            dsn=Dsn.parse(url),
            output=folder / "out",
            evidence=evidence,
            keys=(signer.public,),
            ticket=HOSTILE,
            approver="A" * 400,
        )
    )
    return folder / "out" / "report.html"


@pytest.mark.parametrize("script", [True, False])
def test_it_opens_offline_asks_for_nothing_and_runs_no_text(
    script: bool, browser: Browser, page_file: Path
) -> None:
    with opened(browser, page_file, script=script) as (page, noted):
        assert noted == [page_file.as_uri()]
        assert page.title().startswith("FAIL: patients in database")
        assert page.locator("script, img, iframe, link, object").count() == 0
        assert HOSTILE in page.inner_text("body")


def test_its_policy_forbids_what_somebody_would_put_into_it(
    browser: Browser, page_file: Path, tmp_path: Path
) -> None:
    """The policy works: a planted script, image and style do nothing."""
    planted = tmp_path / "planted.html"
    evil = "<script>document.title='taken'</script><img src='file:///etc/hostname'>"
    planted.write_text(page_file.read_text().replace("</main>", f"{evil}</main>"))
    with opened(browser, planted) as (page, noted):
        assert page.title() != "taken"
        assert sum("Content Security Policy" in each for each in noted) >= 2


@pytest.mark.parametrize("width", [360, 768])
def test_the_page_never_scrolls_sideways(width: int, browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file, width=width) as (page, _):
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        escaped = page.evaluate(
            "[...document.querySelectorAll('main *')].filter(e => !e.closest('.box')"
            " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"
        )
        assert escaped == []


def test_the_first_screen_says_verdict_database_time_and_how_to_verify(
    browser: Browser, page_file: Path
) -> None:
    with opened(browser, page_file) as (page, _):
        for text in (".verdict strong", ".facts", "pre"):
            box = page.locator(text).first.bounding_box()
            assert box is not None
            assert box["y"] < 800, text
        assert "refactorkit audit verify evidence.json --key key.pub" in page.inner_text("pre")


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_assistive_technology_finds_nothing_wrong(
    width: int, scheme: Any, browser: Browser, page_file: Path
) -> None:
    axe = (files("axe_core_python") / "axe.min.js").read_text("utf-8")
    with opened(browser, page_file, width=width, scheme=scheme) as (page, _):
        page.evaluate(axe)
        found = page.evaluate("axe.run()")
        assert len(found["passes"]) > 20
        assert [
            (each["id"], each["help"], [node["html"] for node in each["nodes"]][:3])
            for each in found["violations"]
        ] == []


def test_the_check_of_accessibility_finds_what_is_planted(
    browser: Browser, page_file: Path, tmp_path: Path
) -> None:
    planted = tmp_path / "planted.html"
    text = page_file.read_text().replace('lang="en"', "").replace("--soft: #545b63", "--soft: #ccc")
    digest = re.search(r"style-src '[^']+'", text)
    assert digest is not None
    planted.write_text(text.replace(digest[0], "style-src 'unsafe-inline'"))
    axe = (files("axe_core_python") / "axe.min.js").read_text("utf-8")
    with opened(browser, planted) as (page, _):
        page.evaluate(axe)
        found = {each["id"] for each in page.evaluate("axe.run()")["violations"]}
        assert {"html-has-lang", "color-contrast"} <= found


def test_headings_are_in_order_and_every_table_has_a_caption_and_scopes(
    browser: Browser, page_file: Path
) -> None:
    with opened(browser, page_file) as (page, _):
        levels = page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])"
        )
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b - a <= 1 for a, b in pairwise(levels))
        assert page.locator("table:not(:has(caption))").count() == 0
        assert page.locator("th:not([scope])").count() == 0
        assert page.locator("nav a").count() == page.locator("main > section").count()
        for link in page.locator("nav a").all():
            assert page.locator(str(link.get_attribute("href"))).count() == 1


def test_the_keyboard_comes_first_to_the_report_itself(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file) as (page, _):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('href')") == "#content"


def test_it_prints_with_no_row_cut_and_nothing_beyond_the_paper(
    browser: Browser, page_file: Path, tmp_path: Path
) -> None:
    with opened(browser, page_file, width=688) as (page, _):  # A4 less its margins
        page.emulate_media(media="print")
        beyond = page.evaluate(
            "[...document.querySelectorAll('main *')]"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"
        )
        assert beyond == []
        for inside in ("tr", ".verdict"):
            style = f"getComputedStyle(document.querySelector('{inside}')).breakInside"
            assert page.evaluate(style) == "avoid"
        assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
        paper = tmp_path / "page.pdf"
        page.pdf(path=paper, format="A4", prefer_css_page_size=True)
        assert paper.read_bytes().startswith(b"%PDF")
        assert paper.stat().st_size > 20_000


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_a_picture_of_it_can_be_looked_at(
    width: int, scheme: Any, browser: Browser, page_file: Path, tmp_path: Path
) -> None:
    with opened(browser, page_file, width=width, scheme=scheme) as (page, _):
        picture = tmp_path / f"{scheme}-{width}.png"
        page.screenshot(path=picture)
        assert picture.stat().st_size > 10_000
        paper = "getComputedStyle(document.body).backgroundColor"
        assert (page.evaluate(paper) == "rgb(21, 24, 28)") == (scheme == "dark")


def test_a_verdict_is_a_word_and_not_a_colour_alone(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file) as (page, _):
        words = page.locator(".word:visible").all_inner_texts()
        assert any("FAIL" in word for word in words)
        assert all(re.search("PASS|FAIL|INCOMPLETE|holds|HOLD", word) for word in words)
