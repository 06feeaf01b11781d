# %% Optimize half an MBB beam: optimality criteria are full steps of the problem's own model.
from physopt import Stop, minimize
from physopt.rules.model_step import ModelStep
from physopt.rules.search import FullStep
from physopt.topopt import SIMP, SensitivityFilter, half_mbb

problem = SIMP(half_mbb((60, 20)), volfrac=0.5, filtering=SensitivityFilter(rmin=2.4))
solution = minimize(problem, ModelStep(search=FullStep()), problem.init(), stop=Stop(change=0.01))

# %%
for row in problem.density(solution.point).T[::2]:
    print("".join(" .:*#"[int(4.999 * x)] for x in row))
first, last = solution.history.value[0], solution.evaluation.value
print(f"compliance {first:.4f} -> {last:.2f} (published: 216.81) in {solution.num_evaluations} finite-element solutions")
print(f"volume {problem.density(solution.point).mean():.6f}")
