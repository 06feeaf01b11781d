# %% A compliant mechanism: pushed to the right on the left, it moves to the left on the right. Its lower half, by symmetry.
from physopt.topopt.gallery import inverter
from physopt.topopt.method.methods import solve

design = solve(inverter((40, 20)), "oc", solutions=100, change=None)
for row in design.density.T[::-1]:
    print("".join(" .:*#"[int(4.999 * x)] for x in row))
print(f"displacement of the output: {design.steps[0].value:+.3f} uniform, {design.solution.evaluation.value:+.3f} designed")
