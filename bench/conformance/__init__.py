"""Compare how completely and truly libraries record LLM calls: `make llm-conformance`."""
