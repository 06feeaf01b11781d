# %% A bridge in space: coarse grids first, then a surface to print and a picture.
from physopt.plot.fields import plot_design
from physopt.topopt.export import surface, write_stl
from physopt.topopt.gallery import bridge_3d
from physopt.topopt.method.methods import solve

design = solve(bridge_3d((24, 8, 6)), solutions=25, change=None)
for step in design.steps[::8]:
    print(f"after work worth {step.equivalents:5.1f} solutions: compliance {step.value:.4f} at volume {step.volume:.3f}")

# %%
write_stl("bridge.stl", design.density)
plot_design("bridge.png", "a bridge", design.density, design.solution.history, surface(design.density))
print(design.verify())
