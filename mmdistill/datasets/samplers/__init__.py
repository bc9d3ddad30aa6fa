"""Samplers of few-shot episodes."""

from mmdistill.datasets.samplers.episode_sampler import EpisodeSampler
from mmdistill.datasets.samplers.episodes import Episodes

__all__ = ['EpisodeSampler', 'Episodes']
