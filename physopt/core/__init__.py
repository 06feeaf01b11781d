"""The core: problems, rules, the driver that connects them, and the record of a run."""
