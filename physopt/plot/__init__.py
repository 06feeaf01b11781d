"""Pictures of runs, fields and comparisons; Matplotlib is loaded when one is drawn."""
