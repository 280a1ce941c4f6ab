"""A correct backend, and backends with one seeded fault each, by which the conformance suite is tested."""
