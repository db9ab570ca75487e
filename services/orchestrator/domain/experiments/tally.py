"""What was counted of one arm for one metric: how many people, and sums over them.

Sums alone are kept, so a database can make them and tallies of parts add up to that of the whole.
The outcome of a person is one number: 1 or 0 for a conversion, how often, or how much. A covariate
is the same number from before the exposure; of some people nothing is known from before.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moments:
    """How many, their mean and their variance; all that an interval of a mean needs."""

    n: int
    mean: float
    variance: float

    @property
    def squared_error(self) -> float:
        """The square of the standard error of the mean."""
        return self.variance / self.n


@dataclass(frozen=True, slots=True)
class Tally:
    """`n` people with outcomes y: the sum of y and of y squared. Of the `known` people a covariate
    x is known: the sum of x, of x squared, of x times y, and of their y."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    known: int = 0
    before: float = 0.0
    before_squares: float = 0.0
    products: float = 0.0
    total_known: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        """Both groups of people together; nobody may be in both."""
        return Tally(
            self.n + other.n,
            self.total + other.total,
            self.squares + other.squares,
            self.known + other.known,
            self.before + other.before,
            self.before_squares + other.before_squares,
            self.products + other.products,
            self.total_known + other.total_known,
        )

    @property
    def moments(self) -> Moments:
        """Mean and unbiased variance of the outcome; both 0 where too few are counted for one."""
        return Moments(self.n, self.total / self.n if self.n else 0.0, self._variance)

    @property
    def _variance(self) -> float:
        if self.n < 2:
            return 0.0
        return max(0.0, self.squares - self.total**2 / self.n) / (self.n - 1)
