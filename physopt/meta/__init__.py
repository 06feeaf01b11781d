"""Meta-learning: families of problems, losses of whole runs, gradient estimators and the outer loop."""
