"""The contract tier: a single client, one module for each part of the contract."""
