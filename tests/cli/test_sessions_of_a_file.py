"""Sessions read from a file or standard input: what is wrong with one is told with its place."""

import json
from pathlib import Path

import pytest

from afterbell.cli.session_files import parse_sessions, read_sessions
from afterbell.core.errors import InvalidInput


def test_one_session_may_be_written_over_many_lines() -> None:
    assert parse_sessions(json.dumps({"id": "a", "n": [1]}, indent=2), "f") == [{"id": "a", "n": [1]}]


def test_many_sessions_stand_one_on_a_line_and_blank_lines_do_not_matter() -> None:
    assert parse_sessions('\n{"id": "a"}\r\n\n{"id": "b"}\n', "f") == [{"id": "a"}, {"id": "b"}]
    assert parse_sessions('{"id": "a"}\n', "f") == [{"id": "a"}]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_only_a_line_feed_ends_a_line(separator: str) -> None:
    text = json.dumps({"id": "a", "text": f"one{separator}two"}, ensure_ascii=False)
    assert [session["id"] for session in parse_sessions(f"{text}\n{text}", "f")] == ["a", "a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f: contains no session"),
        (" \n\n", "f: contains no session"),
        ('{"id": "a"}\n\n{"id": }\n', "f, line 3: invalid JSON (Expecting value at character 8)"),
        ('{"id": "a"}\n[1]\n', "f, line 2: expected a session object, found list"),
        ('{"id": "a"}\nnull', "f, line 2: expected a session object, found NoneType"),
        ("[1]", "f: expected a session object, found list"),
        ('{"id": ', "f: invalid JSON (Expecting value at character 8)"),
        (
            '{\n  "id": 1,,\n}',
            "f: invalid JSON (Expecting property name enclosed in double quotes at line 2, character 11)",
        ),
        ("[" * 100_000, "f: cannot be read as JSON"),
        ('{"n": ' + "9" * 5_000 + "}", "f: cannot be read as JSON"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_sessions(text, "f")
    assert str(refused.value).startswith(said)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b'{"id": "\xe9"}')
    cases = {"none.json": "No such file", ".": "Is a directory", "latin": "not valid UTF-8 at byte 9"}
    for name, said in cases.items():
        with pytest.raises(InvalidInput, match=said) as refused:
            read_sessions(str(tmp_path / name))
        assert str(tmp_path / name) in str(refused.value)


def test_a_byte_order_mark_is_no_part_of_the_session(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b'\xef\xbb\xbf{"id": "a"}')
    assert read_sessions(str(tmp_path / "f")) == [{"id": "a"}]
