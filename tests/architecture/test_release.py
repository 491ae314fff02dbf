"""Package, chart and images have one version, and a release is what the changelog calls unreleased."""

import pytest
from tools import release

CHANGELOG = "# Changelog\n\n## Unreleased\n\n### Added\n\n- One thing.\n\n## 0.1.0 - 2026-11-30\n\n- All of it.\n"


def test_package_chart_and_images_have_one_version() -> None:
    assert len(set(release.versions().values())) == 1, release.versions()


def test_a_release_takes_what_is_unreleased_and_leaves_an_empty_section() -> None:
    text = release.released(CHANGELOG, "0.2.0", "2026-12-01")
    assert text.index("## Unreleased") < text.index("## 0.2.0 - 2026-12-01") < text.index("- One thing.")
    with pytest.raises(ValueError, match="nothing to release"):
        release.released(text, "0.3.0", "2026-12-02")


@pytest.mark.parametrize("path", release.PLACES)
def test_every_place_takes_a_new_version(path: str) -> None:
    text = (release.ROOT / path).read_text("utf-8")
    fronts = release.PLACES[path]
    changed = release.written(text, fronts, "9.8.7-rc.1")
    assert all(f"{front}9.8.7-rc.1" in changed for front in fronts)
    assert release.written(changed, fronts, next(iter(release.versions().values()))) == text


@pytest.mark.parametrize("words", [["prepare", "1.2", "2026-12-01"], ["verify", "v99.0.0"], ["publish"], []])
def test_what_cannot_be_released_is_refused_in_words(words: list[str]) -> None:
    assert isinstance(release.main(words), str)
