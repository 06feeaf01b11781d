"""`physopt train`: meta-train a learned rule. Each command has its own module, imported when it is used."""

import cyclopts

COMMANDS = {
    "quadratics": "Train the rule Span on random quadratic wells, once per seed, and compare it on held-out tasks.",
    "first-order": "Train a learned rule of first order on trainings of small networks, by evolution strategies over whole trainings.",
    "scf": "Train the response kernel on the XYZ files of a folder, and count what it is worth on those left out.",
    "topopt": "Train the seven numbers of the learned method by evolution strategies, on random structures of one size.",
}

app = cyclopts.App(name="train", help="Meta-train a learned rule.")
for _name, _help in COMMANDS.items():
    _module = _name.replace("-", "_")
    app.command(f"physopt.cli.train_{_module}:{_module}", name=_name, help=_help)
