"""The mirror's memory: tables, the rule that changes them, queries, engines and migrations."""
