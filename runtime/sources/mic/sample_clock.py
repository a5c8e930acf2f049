"""Estimates when a sample was captured: fits the microphone's sample count to the computer's clock."""

from __future__ import annotations

from mm_edge.runtime.clock import NS_PER_S

MEMORY_S = 30.0  # older points fade out: clocks drift with temperature
# A line through one second of jittery points would be unstable, so the slope stays near zero until the points weigh
# more than this: (1 ms of jitter / 100 ppm of drift) squared.
DRIFT_DOUBT_S2 = 100.0
MOST_JITTER_S = 0.005  # a callback later than this was delayed and is no measurement of the sample
MOST_DELAYED_S = 0.5  # but if all are delayed, the line is wrong: samples were lost, or the clock jumped


class SampleClock:
    """A least-squares line through (sample number, time) with fading weights, centered on the newest point."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.restart()

    def restart(self) -> None:
        """Samples were lost: count and time no longer match."""
        self._weight = self._x = self._y = self._xx = self._xy = 0.0
        self._origin_ns = self._newest = 0  # the origins of y and x
        self._delayed_since_s: float | None = None

    def observe(self, sample: int, t_ns: int) -> None:
        """Sample number `sample` was captured at about `t_ns`."""
        if self._weight == 0.0:
            self._origin_ns, self._newest = t_ns - self._nominal_ns(sample), sample
        step_s = (sample - self._newest) / self._rate
        now_s = sample / self._rate
        late_s = (t_ns - self._origin_ns - self._nominal_ns(sample)) / NS_PER_S
        excess_s = late_s - self._line(step_s)[0] if self._weight else 0.0
        if abs(excess_s) <= MOST_JITTER_S:
            self._delayed_since_s = None
        elif self._delayed_since_s is None:
            self._delayed_since_s = now_s
        elif now_s - self._delayed_since_s > MOST_DELAYED_S:
            self.restart()
            self.observe(sample, t_ns)
            return
        late_s -= excess_s - min(MOST_JITTER_S, max(-MOST_JITTER_S, excess_s))
        self._move(step_s)
        self._newest = sample
        self._weight += 1.0
        self._y += late_s

    def time_of(self, sample: float) -> int:
        """In nanoseconds of the observed clock. Valid after the first observation."""
        late_s, _ = self._line((sample - self._newest) / self._rate)
        return self._origin_ns + self._nominal_ns(sample) + round(late_s * NS_PER_S)

    @property
    def drift_ppm(self) -> float:
        """How much faster the microphone's clock runs than the computer's, in ppm."""
        return -1e6 * self._line(0.0)[1]

    def _nominal_ns(self, sample: float) -> int:
        return round(sample * NS_PER_S / self._rate)

    def _move(self, step_s: float) -> None:
        """Moves the origin of x by `step_s` and fades the weights accordingly."""
        self._xx += step_s * (step_s * self._weight - 2 * self._x)
        self._xy -= step_s * self._y
        self._x -= step_s * self._weight
        fade = max(0.0, 1.0 - step_s / MEMORY_S)
        self._weight *= fade
        self._x *= fade
        self._y *= fade
        self._xx *= fade
        self._xy *= fade

    def _line(self, x_s: float) -> tuple[float, float]:
        """The delay of the sample at `x_s` relative to the nominal rate, and the slope."""
        if self._weight == 0.0:
            return 0.0, 0.0
        x, y = self._x / self._weight, self._y / self._weight
        spread = self._xx - self._x * x
        slope = (self._xy - self._x * y) / (spread + DRIFT_DOUBT_S2)
        return y + slope * (x_s - x), slope
