"""One streamed call of the Responses API, its faults, a narrative's JSON. The one user of openai."""
