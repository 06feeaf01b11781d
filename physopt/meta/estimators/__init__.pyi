from .antithetic import Antithetic as Antithetic, padded as padded
from .backprop import Backprop as Backprop
from .estimator import AbstractEstimator as AbstractEstimator, Estimate as Estimate, Tasks as Tasks, draw as draw, trainable as trainable
from .maml import MAML as MAML, CommonStart as CommonStart, Reptile as Reptile
from .noise_reuse import NoiseReuse as NoiseReuse
from .online import AbstractOnline as AbstractOnline, Particle as Particle, Run as Run
from .persistent import Persistent as Persistent
from .stratified import Stratified as Stratified, Union as Union
from .truncated import TruncatedAntithetic as TruncatedAntithetic, TruncatedBackprop as TruncatedBackprop
