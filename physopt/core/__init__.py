"""The core: problems, rules, the driver that lets them meet, and the record of what happened."""
