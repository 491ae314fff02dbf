#!/usr/bin/env python3
"""Draw docs/images/report.png: what a parent reads after the example lesson, from the stub's prepared answer.

PYTHONPATH=.:services .venv/bin/python -m tools.report_image
"""

import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from afterbell.api.reports.page import render
from afterbell.cli.session_files import example_lesson
from afterbell.core.report.grounding import examine, speakers_of
from afterbell.core.report.prompt import PROMPT_VERSION, SCHEMA_VERSION
from afterbell.core.report.report import PREPARED_MODEL, Provenance, Report, engine_of
from afterbell.core.report.statistics import measure
from afterbell.core.session import transcript_of
from afterbell.core.usage import Usage
from afterbell.dev.stub.prepared import prepared_for

IMAGE: Final = Path(__file__).parents[1] / "docs" / "images" / "report.png"
SIZE: Final = "880,1235"


def page() -> str:
    """The page for the parent of the example lesson's student."""
    lesson = example_lesson()
    transcript = transcript_of(lesson)
    narrative = prepared_for(transcript)
    if narrative is None:
        raise SystemExit("The stub has no prepared answer to the example lesson: its texts differ")
    grounded = examine(narrative, transcript)
    provenance = Provenance(
        engine_of(PREPARED_MODEL), PREPARED_MODEL, PROMPT_VERSION, SCHEMA_VERSION, "", None, Usage()
    )
    report = Report(
        id="",
        session_id=lesson.id,
        version=1,
        language=transcript.written_in,
        lesson_language=lesson.language,
        narrative=grounded.narrative,
        metrics=measure(lesson, transcript),
        checks=grounded.checks,
        provenance=provenance,
        created_at=datetime.now(UTC),
        speakers=speakers_of(grounded.narrative, transcript),
    )
    names = {person.id: person.display_name or person.id for person in lesson.participants}
    return render(report, "parent", ["mina"], session_title=lesson.subject, names=names)


def main() -> None:
    """Draw the picture with Chromium."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("Chromium is not installed: the picture is drawn with it")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.html")
        file.write_text(page(), "utf-8")
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={folder}/profile"]
        drawn = [f"--window-size={SIZE}", f"--screenshot={IMAGE}", file.as_uri()]
        subprocess.run(  # noqa: S603  a program found by name, with our own words
            [browser, *options, *drawn], check=True, capture_output=True, timeout=120
        )


if __name__ == "__main__":
    main()
