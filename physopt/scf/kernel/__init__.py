"""The cheap response of the Fock matrix to a change of the density: a list of terms on fitted charges."""

from .fitted import Charges as Charges
from .response import ResponseKernel as ResponseKernel, exchange_terms as exchange_terms
from .terms import (
    AbstractTerm as AbstractTerm,
    Change as Change,
    Coulomb as Coulomb,
    Density as Density,
    ExactExchange as ExactExchange,
    Semilocal as Semilocal,
)
