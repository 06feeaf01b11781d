# %% A plate that is heated everywhere and cooled on its left: where to put the conductor. Then a sharper design, by projection.

import physopt

plate = physopt.topopt.heat_sink((40, 40))
smooth = physopt.topopt.solve(plate, solutions=60, change=None)
steps = [{"solutions": 20, "beta": 0.0}, {"solutions": 20, "beta": 2.0}, {"solutions": 20, "beta": 4.0}]
sharp = physopt.topopt.solve(physopt.topopt.changed(plate, {"beta": 8.0, "continuation": steps}), "mma", solutions=30, change=None)
for design in (smooth, sharp):
    found = design.verify()
    print(f"thermal compliance {found['verified']:.1f}, greyness {found['greyness']:.3f}")
for row in sharp.density.T[::-2]:
    print("".join(" .:*#"[int(4.999 * x)] for x in row))
