# %% A bracket under two load cases; the worse one counts. A hole is prescribed, and solid material around the loads.
import physopt
from physopt.topopt import Definition, Load, Passive, Support

bracket = Definition(
    name="bracket",
    shape=[60, 40],
    volfrac=0.4,
    rmin=2.0,
    objective="worst",
    support=[Support(region=[[0, 0], [0, 40]], fix="xy")],
    load=[
        Load(region=[[58, 19], [60, 21]], force=[0.0, -1.0], case=0),
        Load(region=[[58, 19], [60, 21]], force=[1.5, 0.0], case=1),
    ],
    passive=[
        Passive(region=[[20, 14], [32, 26]], density=0.0),
        Passive(region=[[56, 17], [60, 23]], density=1.0),
    ],
)
design = physopt.topopt.solve(bracket, solutions=60, change=None)

# %%
for row in design.density.T[::-2]:
    print("".join(" .:*#"[int(4.999 * x)] for x in row))
print(f"largest compliance {design.steps[0].value:.2f} -> {design.solution.evaluation.value:.2f}", design.verify())
