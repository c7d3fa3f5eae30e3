"""The text that Prometheus reads, made from the figures of sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from eventstore.histogram import Histogram
from workers.metrics.catalogue import Metric
from workers.metrics.sources import Sample, Source

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
_KINDS: Final = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}


class Figures(Collector):
    """Reads the sources when Prometheus asks."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = tuple(sources)

    def collect(self) -> Iterable[_Family]:
        """One family for each metric, with all of its figures."""
        families: dict[str, _Family] = {}
        for source in self._sources:
            for sample in source():
                name = sample.metric.name
                family = families.get(name)
                if family is None:
                    family = families[name] = _family(sample.metric)
                _add(family, sample)
        return families.values()


def page_of(sources: Sequence[Source]) -> Callable[[], bytes]:
    """A function that makes the page: the figures of these sources, and those of the process (`process_…`)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(sources))
    ProcessCollector(registry=registry)
    return lambda: generate_latest(registry)


def _family(metric: Metric) -> _Family:
    family: _Family = _KINDS[metric.kind](metric.name, metric.help, labels=metric.labels)
    return family


def _add(family: _Family, sample: Sample) -> None:
    labels, value = list(sample.labels), sample.value
    if isinstance(family, HistogramMetricFamily):
        assert isinstance(value, Histogram)
        bounds = [*map(floatToGoString, value.bounds), "+Inf"]
        family.add_metric(labels, list(zip(bounds, accumulate(list(value.counts)), strict=True)), value.total)
    else:
        assert not isinstance(value, Histogram)
        family.add_metric(labels, value)
