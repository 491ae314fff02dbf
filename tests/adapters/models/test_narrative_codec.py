"""The narrative's JSON: what goes out is strict, what comes in is checked."""

import copy
import json
from dataclasses import MISSING, fields
from typing import Any

import pytest
from openai.lib._pydantic import _ensure_strict_json_schema
from tests.dev.stub.running import expected

from afterbell.adapters.models.narrative_codec import PROBLEMS_MAX, decode, encode, wire_schema
from afterbell.core.errors import ModelAnswerUnusable
from afterbell.core.narrative import Narrative
from afterbell.dev.stub.request import schema_problems


def spoiled(**changes: Any) -> str:
    return json.dumps(json.loads(encode(expected())) | changes)


def problems_of(text: str) -> str:
    with pytest.raises(ModelAnswerUnusable) as caught:
        decode(text)
    return str(caught.value)


def nodes(schema: Any) -> list[dict[str, Any]]:
    """Every schema in a schema, property names aside."""
    if not isinstance(schema, dict):
        return []
    parts = [
        *schema.get("properties", {}).values(),
        *schema.get("$defs", {}).values(),
        *schema.get("anyOf", ()),
    ]
    return [schema, *(node for part in [*parts, schema.get("items")] for node in nodes(part))]


def test_a_narrative_survives_the_way_out_and_back() -> None:
    assert decode(encode(expected())) == expected()


def test_the_sdks_own_strict_helper_finds_nothing_to_change() -> None:
    schema = wire_schema()
    assert _ensure_strict_json_schema(copy.deepcopy(schema), path=(), root=schema) == schema


def test_the_wire_schema_is_in_the_strict_subset() -> None:
    schema = wire_schema()
    assert list(schema_problems(schema)) == []
    assert schema["required"] == list(schema["properties"]) == [field.name for field in fields(Narrative)]
    words = {word for node in nodes(schema) for word in node}
    allowed = {
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "anyOf",
        "enum",
        "$ref",
        "$defs",
    }
    assert words <= allowed | {"description"}
    assert len(nodes(schema)) > 40


def test_bounds_reach_the_model_in_words() -> None:
    schema = wire_schema()
    assert schema["properties"]["headline"]["description"] == "4 to 120 characters."
    assert schema["properties"]["topics"]["description"] == "0 to 6 items."
    minutes = schema["$defs"]["Action"]["properties"]["effort_minutes"]["anyOf"][0]
    assert minutes == {"type": "integer", "description": "1 to 120."}


def test_a_schema_is_the_callers_own_to_change() -> None:
    wire_schema()["properties"].clear()
    assert wire_schema()["properties"]


@pytest.mark.parametrize("text", ["", "I cannot do that", '{"headline": ', '{"headline": NaN}', "[" * 100_000])
def test_text_that_is_not_json_is_unusable_and_not_repeated(text: str) -> None:
    message = problems_of(text)
    assert message.startswith("The answer is not JSON: ")
    assert "cannot do that" not in message


@pytest.mark.parametrize("text", ["[]", "null", "7", '"words"'])
def test_json_that_is_not_an_object_is_unusable(text: str) -> None:
    assert "the whole answer: " in problems_of(text)


def test_every_problem_is_listed_by_path_and_rule_without_the_text() -> None:
    topic = {"name": "private words", "coverage": "rehearsed", "evidence": []}
    message = problems_of(spoiled(headline="Oh!", topics=[topic]))
    assert "headline: String should have at least 4 characters" in message
    assert "topics[0].coverage: Input should be 'introduced', 'practised' or 'reviewed'" in message
    assert "topics[0].evidence: " in message
    assert "private words" not in message
    assert "rehearsed" not in message
    assert "Oh!" not in message


def test_an_unknown_field_is_a_problem_and_its_name_is_not_repeated() -> None:
    message = problems_of(spoiled(**{"my dad shouts": 1}))
    assert "the whole answer: has a field that does not exist" in message
    assert "dad" not in message


def test_a_long_list_of_problems_is_cut_and_counted() -> None:
    required = [each for each in fields(Narrative) if each.default is MISSING and each.default_factory is MISSING]
    assert f"and {len(required) - PROBLEMS_MAX} more." in problems_of("{}")


def test_text_is_cleaned_as_turns_are_so_that_quotes_compare_and_postgresql_can_store_it() -> None:
    narrative = decode(spoiled(headline="  Caf\u0065\u0301 \u0000\u202esums in fractions "))
    assert narrative.headline == "Caf\u00e9 sums in fractions"


def test_a_bound_counts_the_text_without_blanks_around_it() -> None:
    assert "headline: " in problems_of(spoiled(headline="  Oh!     "))
