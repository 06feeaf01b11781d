# %% A compliant mechanism: its left end is pushed to the right, and its right end moves to the left. By symmetry, its lower half.

import physopt

design = physopt.topopt.solve(physopt.topopt.inverter((40, 20)), "oc", solutions=100, change=None)
for row in design.density.T[::-1]:
    print("".join(" .:*#"[int(4.999 * x)] for x in row))
print(f"displacement of the output: {design.steps[0].value:+.3f} uniform, {design.solution.evaluation.value:+.3f} designed")
