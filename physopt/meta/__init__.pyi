from . import estimators as estimators, families as families, starts as starts
from .estimators import (
    MAML as MAML,
    AbstractEstimator as AbstractEstimator,
    AbstractOnline as AbstractOnline,
    Antithetic as Antithetic,
    Backprop as Backprop,
    CommonStart as CommonStart,
    Estimate as Estimate,
    NoiseReuse as NoiseReuse,
    Particle as Particle,
    Persistent as Persistent,
    Reptile as Reptile,
    Stratified as Stratified,
    Tasks as Tasks,
    TruncatedAntithetic as TruncatedAntithetic,
    TruncatedBackprop as TruncatedBackprop,
    Union as Union,
    draw as draw,
)
from .loss import AbstractLoss as AbstractLoss, Fall as Fall, LogArea as LogArea, SmoothSteps as SmoothSteps
from .protocol import break_even as break_even, compare as compare
from .quadratics import Quadratics as Quadratics, Well as Well, log_cosh as log_cosh, parabola as parabola
from .score import steps_to_tolerance as steps_to_tolerance
from .spread import Spread as Spread
from .training import Training as Training, TrainingProgress as TrainingProgress, train as train
from .validation import Validation as Validation, mean_loss as mean_loss
