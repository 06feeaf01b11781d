"""The published demonstrations of DeepXDE, forward problems: the mathematics written anew, as a user of physopt would write it."""

# ruff: noqa: E731  (a reference is one line, like the residuals)

import jax.numpy as jnp
import numpy as np
import pytest
from equations import Cases, chebyshev, check, integrated, lines
from scipy.special import h1vp, h2vp, hankel1, hankel2, jvp

from physopt.pinn import At, Ball, Boundary, Box, Integral, Problem, Start, solve
from physopt.pinn.equations.schroedinger import schroedinger
from physopt.pinn.references import cole_hopf

pi, line, wide, square, CASES = np.pi, Box(x=(0, 1)), Box(x=(-1, 1)), Box(x=(0, 1), y=(0, 1)), Cases()
demo, zero = CASES.enter, Boundary(lambda u: u)
left, right = (lambda x: x == -1), (lambda x: x == 1)


@demo(1e-6, title="System of two ODEs")
def ode_system():
    equation, start = lambda u, v: (u.t - v, v.t + u), Start(lambda u, v: (u, v - 1))
    return Problem(None, equation, [start], fields="u v", time=(0, 10), reference=lambda t: (np.sin(t), np.cos(t)))


@demo(1e-6, slow=True, title="Second-order ODE")
def second_order_ode():
    reference = lambda t: 50 / 81 + 5 / 9 * t + 31 / 81 * np.exp(9 * t) - 2 * np.exp(t)
    start = [Start(lambda u: u + 1), Start(lambda u: u.t - 2)]
    return Problem(None, lambda u, t: u.tt - 10 * u.t + 9 * u - 5 * t, start, time=(0, 0.25), reference=reference)


@demo(1e-6, slow=True, title="Lotka and Volterra's equations")
def lotka_volterra():
    slope = lambda t, s: [20 * s[0] - 80 * s[0] * s[1], 80 * s[0] * s[1] - 21.2 * s[1]]
    equation = lambda r, p: (r.t - 20 * r + 80 * r * p, p.t - 80 * r * p + 21.2 * p)
    reference = integrated(slope, [0.5, 0.075], (0, 1))
    return Problem(None, equation, [Start(lambda r, p: (r - 0.5, p - 0.075))], fields="r p", time=(0, 1), reference=reference)


@demo(1e-6, title="Poisson 1D, Dirichlet")
def poisson_dirichlet():
    return Problem(wide, lambda u, x: u.xx + pi**2 * jnp.sin(pi * x), [zero], reference=lambda x: np.sin(pi * x))


@demo(1e-6, title="Poisson 1D, Neumann")
def poisson_neumann():
    conditions = [Boundary(lambda u: u, left), Boundary(lambda u: u.normal - 4, right)]
    return Problem(wide, lambda u: u.xx - 2, conditions, reference=lambda x: (x + 1) ** 2)


@demo(1e-6, title="Poisson 1D, Robin")
def poisson_robin():
    conditions = [Boundary(lambda u: u, left), Boundary(lambda u: u.normal - u, right)]
    return Problem(wide, lambda u: u.xx - 2, conditions, reference=lambda x: (x + 1) ** 2)


@demo(1e-6, title="Poisson 1D, periodic")
def poisson_periodic():
    equation = lambda u, x: u.xx + pi**2 * jnp.sin(pi * x)
    return Problem(Box(x=(-1, 1), periodic="x"), equation, [At(lambda u: u, x=-1)], reference=lambda x: np.sin(pi * x))


@demo(1e-6, slow=True, title="Poisson 1D, two scales")
def poisson_two_scales():
    equation = lambda u, x: u.xx + 4 * pi**2 * jnp.sin(2 * pi * x) + 250 * pi**2 * jnp.sin(50 * pi * x)
    return Problem(line, equation, [zero], reference=lambda x: np.sin(2 * pi * x) + 0.1 * np.sin(50 * pi * x))


@demo(1e-6, title="Laplace on a disk")
def laplace_on_a_disk():
    return Problem(Ball(1, x=0, y=0), lambda u: u.laplacian, [Boundary(lambda u, x: u - x)], reference=lambda x, y: x)


@demo(1e-6, title="Helmholtz 2D, Dirichlet")
def helmholtz_dirichlet():
    equation = lambda u, x, y, k: u.laplacian + k**2 * (u + jnp.sin(k * x) * jnp.sin(k * y))
    return Problem(square, equation, [zero], k=4 * pi, reference=lambda x, y, k: np.sin(k * x) * np.sin(k * y))


@demo(1e-6, slow=True, title="Helmholtz 2D, Neumann, with what the published one lacks")
def helmholtz_neumann():
    equation = lambda u, x, y, k: u.laplacian + k**2 * (u + jnp.cos(k * x) * jnp.cos(k * y))
    conditions = [Boundary(lambda u: u.normal), Integral(lambda u, x, y, k: (u * jnp.cos(k * x), u * jnp.cos(k * y)))]
    return Problem(square, equation, conditions, k=4 * pi, reference=lambda x, y, k: np.cos(k * x) * np.cos(k * y))


@demo(1e-6, slow=True, title="Helmholtz 2D, a square with a hole")
def helmholtz_with_a_hole():
    k, domain = 2 * pi, Box(x=(-0.5, 0.5), y=(-0.5, 0.5)) - Ball(0.25, x=0, y=0)
    equation = lambda u, x, y: u.laplacian + k**2 * (u + jnp.sin(k * x) * jnp.sin(k * y))
    slope = lambda x, y, n_x, n_y: k * (n_x * jnp.cos(k * x) * jnp.sin(k * y) + n_y * jnp.sin(k * x) * jnp.cos(k * y))
    outer = Boundary(lambda u: u, lambda x, y: np.hypot(x, y) > 0.3)
    hole = Boundary(lambda u, x, y, n_x, n_y: u.normal - slope(x, y, n_x, n_y), lambda x, y: np.hypot(x, y) < 0.3)
    return Problem(domain, equation, [outer, hole], reference=lambda x, y: np.sin(k * x) * np.sin(k * y))


@demo(1e-5, slow=True, title="Helmholtz 2D, sound-hard scattering, absorbing, in polar coordinates")
def helmholtz_scattering():
    k, inner, outer = 2.0, pi / 4, pi

    def reference(r, a):  # waves that leave and waves that the outer edge sends back, order by order
        total = 0j
        for n in range(30):
            share = -(h1vp(n, k * outer) - 1j * hankel1(n, k * outer)) / (h2vp(n, k * outer) - 1j * hankel2(n, k * outer))
            size = -(1j**n) * (2 if n else 1) * jvp(n, k * inner) / (h1vp(n, k * inner) + share * h2vp(n, k * inner))
            total = total + size * (hankel1(n, k * r) + share * hankel2(n, k * r)) * np.cos(n * a)
        return total.real, total.imag

    sound = lambda u, r: u.rr + u.r / r + u.aa / r**2 + k**2 * u
    wave = lambda r, a: k * jnp.cos(a) * jnp.stack([-jnp.sin(k * r * jnp.cos(a)), jnp.cos(k * r * jnp.cos(a))])
    hard = Boundary(lambda u, v, r, a: jnp.stack([u.r, v.r]) + wave(r, a), lambda r: r == inner)
    absorbing = Boundary(lambda u, v: (u.r + k * v, v.r - k * u), lambda r: r == outer)
    domain = Box(r=(inner, outer), a=(0, 2 * pi), periodic="a")
    return Problem(domain, lambda u, v, r: (sound(u, r), sound(v, r)), [hard, absorbing], fields="u v", reference=reference)


@demo(1e-6, title="Euler's beam")
def euler_beam():
    ends = [Boundary(lambda u: (u, u.x), lambda x: x == 0), Boundary(lambda u: (u.xx, u.xxx), right)]
    return Problem(line, lambda u: u.xxxx + 1, ends, reference=lambda x: -(x**4) / 24 + x**3 / 6 - x**2 / 4)


@demo(1e-6, title="Volterra's integro-differential equation")
def volterra():  # the integral of exp(s - x) u(s) over s < x is a field of its own
    reference = lambda x: (np.exp(-x) * np.cosh(x), np.exp(-x) * np.sinh(x))
    start = Boundary(lambda u, w: (u - 1, w), lambda x: x == 0)
    return Problem(Box(x=(0, 5)), lambda u, w: (u.x + u - w, w.x + w - u), [start], fields="u w", reference=reference)


@demo(1e-6, title="Heat")
def heat():
    conditions, reference = [Start(lambda u, x: u - jnp.sin(pi * x)), zero], lambda x, t: np.exp(-0.4 * pi**2 * t) * np.sin(pi * x)
    return Problem(line, lambda u: u.t - 0.4 * u.xx, conditions, time=(0, 1), reference=reference)


@demo(1e-6, slow=True, title="Diffusion")
def diffusion():
    equation = lambda u, x, t: u.t - u.xx + jnp.exp(-t) * (1 - pi**2) * jnp.sin(pi * x)
    conditions, reference = [Start(lambda u, x: u - jnp.sin(pi * x)), zero], lambda x, t: np.exp(-t) * np.sin(pi * x)
    return Problem(wide, equation, conditions, time=(0, 1), reference=reference)


@demo(1e-6, slow=True, title="Diffusion with a reaction")
def diffusion_reaction():
    waves = lambda x, powers, np: sum(c * np.sin(n * x) for n, c in zip((1, 2, 3, 4, 8), powers, strict=True))
    shape, load = (1, 1 / 2, 1 / 3, 1 / 4, 1 / 8), (0, 3 / 2, 8 / 3, 15 / 4, 63 / 8)
    conditions = [Start(lambda u, x: u - waves(x, shape, jnp)), zero]
    equation = lambda u, x, t: u.t - u.xx - jnp.exp(-t) * waves(x, load, jnp)
    return Problem(Box(x=(-pi, pi)), equation, conditions, time=(0, 1), reference=lambda x, t: np.exp(-t) * waves(x, shape, np))


@demo(1e-3, slow=True, title="Allen and Cahn's equation")
def allen_cahn():
    x, d = chebyshev(161)
    second, held = d @ d, np.arange(161) % 160 != 0
    slope = lambda t, s: held * (0.001 * second @ s + 5 * (s - s**3))
    conditions = [Start(lambda u, x: u - x**2 * jnp.cos(pi * x)), Boundary(lambda u: u + 1)]
    equation, reference = lambda u: u.t - 0.001 * u.xx - 5 * (u - u**3), lines(slope, x**2 * np.cos(pi * x), x, (0, 1))
    return Problem(wide, equation, conditions, time=(0, 1), reference=reference)


@demo(1e-4, slow=True, title="Burgers' equation")
def burgers_front():
    conditions, nu = [Start(lambda u, x: u + jnp.sin(pi * x)), zero], 0.01 / pi
    return Problem(wide, lambda u: u.t + u * u.x - nu * u.xx, conditions, time=(0, 0.99), reference=lambda x, t: cole_hopf(x, t, nu))


@demo(1e-5, slow=True, title="Wave equation, two scales")
def wave():
    modes = lambda x, t: np.sin(pi * x) * np.cos(10 * pi * t) + np.sin(2 * pi * x) * np.cos(20 * pi * t)
    start = [Start(lambda u, x: u - jnp.sin(pi * x) - jnp.sin(2 * pi * x)), Start(lambda u: u.t)]
    return Problem(line, lambda u: u.tt - 100 * u.xx, [*start, zero], time=(0, 1), reference=modes)


@demo(1e-6, slow=True, title="Klein and Gordon's equation")
def klein_gordon():
    equation = lambda u, x, t: u.tt - u.xx + u**2 + x * jnp.cos(t) - (x * jnp.cos(t)) ** 2
    conditions = [Start(lambda u, x: u - x), Start(lambda u: u.t), Boundary(lambda u, x, t: u - x * jnp.cos(t))]
    return Problem(wide, equation, conditions, time=(0, 10), reference=lambda x, t: x * np.cos(t))


@demo(1e-2, slow=True, title="Schrödinger's nonlinear equation")
def schroedinger_breather():
    equation = lambda u, v: (u.t + v.xx / 2 + (u**2 + v**2) * v, v.t - u.xx / 2 - (u**2 + v**2) * u)
    start = Start(lambda u, v, x: (u - 2 / jnp.cosh(x), v))
    reference = schroedinger().reference  # exponential time steps
    return Problem(Box(x=(-5, 5), periodic="x"), equation, [start], fields="u v", time=(0, pi / 2), reference=reference)


@demo(1e-6, slow=True, title="Kovasznay's flow")
def kovasznay():
    k = 10 - np.sqrt(100 + 4 * pi**2)

    def flow(x, y, np=np):
        wave = np.exp(k * x)
        return 1 - wave * np.cos(2 * pi * y), k / (2 * pi) * wave * np.sin(2 * pi * y), (1 - wave**2) / 2

    equation = lambda u, v, p: (u * u.x + v * u.y + p.x - u.laplacian / 20, u * v.x + v * v.y + p.y - v.laplacian / 20, u.x + v.y)
    edge = Boundary(lambda u, v, x, y: (u - flow(x, y, jnp)[0], v - flow(x, y, jnp)[1]))
    outflow = Boundary(lambda p, x, y: p - flow(x, y, jnp)[2], right)
    return Problem(Box(x=(-0.5, 1), y=(-0.5, 1.5)), equation, [edge, outflow], fields="u v p", reference=flow)


@demo(1e-6, slow=True, title="Elastic plate")
def elastic_plate():
    lame, mu, q, stiff = 1.0, 0.5, 4.0, 2.0

    def shape(x, y, np=np):
        return np.cos(2 * pi * x) * np.sin(pi * y), np.sin(pi * x) * q * y**4 / 4

    def load(x, y):
        both, wave, slope, other = (
            jnp.cos(2 * pi * x) * jnp.sin(pi * y),
            jnp.sin(pi * x),
            jnp.cos(pi * x),
            jnp.sin(2 * pi * x) * jnp.cos(pi * y),
        )
        along = lame * (4 * pi**2 * both - pi * q * y**3 * slope) + mu * (9 * pi**2 * both - pi * q * y**3 * slope)
        across = lame * (2 * pi**2 * other - 3 * q * y**2 * wave)
        return along, across + mu * (2 * pi**2 * other + (pi**2 * q * y**4 / 4 - 6 * q * y**2) * wave)

    def equation(u, v, x, y):
        return (
            stiff * u.xx + lame * v.xy + mu * (u.yy + v.xy) + load(x, y)[0],
            stiff * v.yy + lame * u.xy + mu * (u.xy + v.xx) + load(x, y)[1],
        )

    sides = Boundary(lambda u, v: (v, stiff * u.x + lame * v.y), lambda x: (x == 0) | (x == 1))
    bottom = Boundary(lambda u, v: (u, v), lambda y: y == 0)
    top = Boundary(lambda u, v, x: (u, stiff * v.y + lame * u.x - stiff * q * jnp.sin(pi * x)), lambda y: y == 1)
    return Problem(square, equation, [sides, bottom, top], fields="u v", reference=shape)


@pytest.mark.parametrize(("make", "tol", "limit"), CASES.values())
def test_demonstrations_are_solved_and_the_estimated_error_is_true(make, tol, limit):
    check(make, tol, limit)


@pytest.mark.slow
def test_what_is_published_without_a_unique_solution_is_not_called_converged():
    equation = lambda u, x, y, k: u.laplacian + k**2 * (u + jnp.cos(k * x) * jnp.cos(k * y))  # cos(k x) may be added
    answer = solve(Problem(square, equation, [Boundary(lambda u: u.normal)], k=4 * pi), largest=700)
    assert not answer.converged
