"""Mechanisms with memory: the keys that a query attends to depend on the queries before it.

Such a mechanism has three functions. `<name>_start(...)` returns the state before the first query,
`<name>_step(params, state, query, key, value)` attends with one query and returns the next state,
and `<name>(params, query, key, value)` attends with all queries in order, from the state `initial`.
Functions of alignments are here too: losses, copied words, and the best monotonic path.
"""

from jattn.alignment.copy_distribution import copy_distribution as copy_distribution
from jattn.alignment.coverage import CoverageParams as CoverageParams
from jattn.alignment.coverage import coverage as coverage
from jattn.alignment.coverage import coverage_start as coverage_start
from jattn.alignment.coverage import coverage_step as coverage_step
from jattn.alignment.coverage import init_coverage as init_coverage
from jattn.alignment.coverage_loss import coverage_loss as coverage_loss
from jattn.alignment.dynamic_convolution import DynamicConvolutionParams as DynamicConvolutionParams
from jattn.alignment.dynamic_convolution import beta_binomial_taps as beta_binomial_taps
from jattn.alignment.dynamic_convolution import dynamic_convolution as dynamic_convolution
from jattn.alignment.dynamic_convolution import dynamic_convolution_step as dynamic_convolution_step
from jattn.alignment.dynamic_convolution import init_dynamic_convolution as init_dynamic_convolution
from jattn.alignment.fertility_coverage import FertilityCoverageParams as FertilityCoverageParams
from jattn.alignment.fertility_coverage import fertility_coverage as fertility_coverage
from jattn.alignment.fertility_coverage import fertility_coverage_step as fertility_coverage_step
from jattn.alignment.fertility_coverage import init_fertility_coverage as init_fertility_coverage
from jattn.alignment.forward import forward as forward
from jattn.alignment.forward import forward_start as forward_start
from jattn.alignment.forward import forward_step as forward_step
from jattn.alignment.gaussian_window import GaussianWindowParams as GaussianWindowParams
from jattn.alignment.gaussian_window import gaussian_window as gaussian_window
from jattn.alignment.gaussian_window import gaussian_window_start as gaussian_window_start
from jattn.alignment.gaussian_window import gaussian_window_step as gaussian_window_step
from jattn.alignment.gaussian_window import init_gaussian_window as init_gaussian_window
from jattn.alignment.guided import guided_attention_loss as guided_attention_loss
from jattn.alignment.hard_monotonic import hard_monotonic as hard_monotonic
from jattn.alignment.hard_monotonic import hard_monotonic_step as hard_monotonic_step
from jattn.alignment.infinite_lookback import infinite_lookback as infinite_lookback
from jattn.alignment.infinite_lookback import infinite_lookback_step as infinite_lookback_step
from jattn.alignment.location_aware import LocationAwareParams as LocationAwareParams
from jattn.alignment.location_aware import init_location_aware as init_location_aware
from jattn.alignment.location_aware import location_aware as location_aware
from jattn.alignment.location_aware import location_aware_start as location_aware_start
from jattn.alignment.location_aware import location_aware_step as location_aware_step
from jattn.alignment.mocha import MochaParams as MochaParams
from jattn.alignment.mocha import init_mocha as init_mocha
from jattn.alignment.mocha import mocha as mocha
from jattn.alignment.mocha import mocha_step as mocha_step
from jattn.alignment.monotonic import MonotonicParams as MonotonicParams
from jattn.alignment.monotonic import init_monotonic as init_monotonic
from jattn.alignment.monotonic import monotonic as monotonic
from jattn.alignment.monotonic import monotonic_energies as monotonic_energies
from jattn.alignment.monotonic import monotonic_start as monotonic_start
from jattn.alignment.monotonic import monotonic_step as monotonic_step
from jattn.alignment.search import monotonic_alignment_search as monotonic_alignment_search
from jattn.alignment.stable_mixture import StableMixtureParams as StableMixtureParams
from jattn.alignment.stable_mixture import init_stable_mixture as init_stable_mixture
from jattn.alignment.stable_mixture import stable_mixture as stable_mixture
from jattn.alignment.stable_mixture import stable_mixture_start as stable_mixture_start
from jattn.alignment.stable_mixture import stable_mixture_step as stable_mixture_step
from jattn.alignment.stick_breaking import stick_breaking as stick_breaking
