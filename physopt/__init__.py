"""Accelerate expensive physics: one vocabulary of problems, models and update rules for SCF, PINNs and topology."""
