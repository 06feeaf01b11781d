"""How a design is found: stages of rules, on the problem itself and on cheaper ones."""
