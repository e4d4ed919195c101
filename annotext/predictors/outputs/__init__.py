"""The output kinds that cards may name."""

from annotext.predictors.outputs.heatmap import HeatmapOutput
from annotext.predictors.outputs.simcc import SimccOutput

AnyOutput = HeatmapOutput | SimccOutput
