"""The methods of topology optimization: stages of rules, on the problem itself and on cheaper ones."""
