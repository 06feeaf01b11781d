# %% A bridge in 3D: coarse grids first, then a surface to print and a picture.

import physopt

design = physopt.topopt.solve(physopt.topopt.bridge_3d((24, 8, 6)), solutions=25, change=None)
for step in design.steps[::8]:
    print(f"after work worth {step.equivalents:5.1f} solves: compliance {step.value:.4f} at volume {step.volume:.3f}")

# %%
physopt.topopt.write_stl("bridge.stl", design.density)
physopt.plot.plot_design("bridge.png", "a bridge", design.density, design.solution.history, physopt.topopt.surface_of(design.density))
print(design.verify())
