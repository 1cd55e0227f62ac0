"""Which calls of a model does a library record, and how truly? `make llm-conformance`."""
