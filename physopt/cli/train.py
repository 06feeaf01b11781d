"""`physopt train`: meta-train a learned rule. Each command has its own module, imported when it is used."""

import cyclopts

COMMANDS = {
    "quadratics": "Train the rule Span on random quadratic wells, once per seed, and compare it on held-out tasks.",
    "scf": "Train the response kernel on the XYZ files of a folder, and count what it is worth on those left out.",
    "topopt": "Train the seven numbers of the learned method by evolution strategies, on random structures of one size.",
}

app = cyclopts.App(name="train", help="Meta-train a learned rule.")
for _name, _help in COMMANDS.items():
    app.command(f"physopt.cli.train_{_name}:{_name}", name=_name, help=_help)
