"""Methods side by side on the same cases: what each costs, judged from outside."""
