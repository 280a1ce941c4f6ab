"""The built-in backend: an embedded SQLite file. It comes through the same door as every other one."""
