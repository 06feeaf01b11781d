from .fields import animate as animate, plot_design as plot_design, plot_solution as plot_solution
from .profiles import plot_profiles as plot_profiles
from .runs import plot_run as plot_run
from .scf import plot_traces as plot_traces
from .study import plot_study as plot_study
