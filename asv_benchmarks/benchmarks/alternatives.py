"""Pilots: what `auto` spends on its own, and how long an audit of the demo takes."""

import fastscore as fs
from fastscore.examples import barrier

from .common import normal, of_sample


class Auto:
    """A million samples, by the winner of a pilot."""

    params = (["demo", "W1, d = 10"],)
    param_names = ("problem",)

    def setup(self, name):
        demo = barrier.f, barrier.p, barrier.args
        self.f, self.p, self.args = demo if name == "demo" else (of_sample, normal(10), ())
        self.run()

    def run(self):
        """An estimate."""
        return fs.gradient(
            self.f, self.p, args=self.args, n=1_000_000, rng=0, estimator="auto", threads=1
        )

    def time_gradient(self, name):
        self.run()

    def track_pilot_share(self, name):
        """Of the time of the call; at most a tenth."""
        estimate = self.run()
        return estimate.pilot_seconds / estimate.seconds


class Audit:
    """Of the demo; at most two seconds."""

    def setup(self):
        fs.audit(barrier.f, barrier.p, args=barrier.args, rng=0)

    def time_demo(self):
        fs.audit(barrier.f, barrier.p, args=barrier.args, rng=0)
