"""What the mirror remembers: tables, the rule by which they change, engines and migrations."""
