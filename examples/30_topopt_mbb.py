# %% Optimize half an MBB beam: optimality criteria are full steps of the problem's own model.

import physopt

problem = physopt.topopt.SIMP(physopt.topopt.half_mbb((60, 20)), volfrac=0.5, filtering=physopt.topopt.SensitivityFilter(rmin=2.4))
solution = physopt.minimize(
    problem, physopt.rules.ModelStep(search=physopt.rules.FullStep()), problem.init(), stop=physopt.Stop(change=0.01)
)

# %%
for row in problem.density(solution.point).T[::2]:
    print("".join(" .:*#"[int(4.999 * x)] for x in row))
first, last = solution.history.value[0], solution.evaluation.value
print(f"compliance {first:.4f} -> {last:.2f} (published: 216.81) in {solution.num_evaluations} finite-element solves")
print(f"volume {problem.density(solution.point).mean():.6f}")
