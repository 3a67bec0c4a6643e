"""What a project holds: its files, logs, ledger and cubes, and whether they are right."""
