"""How many requests a server takes at once, learned from its 429s downward and from its answers upward.

A server that takes so many requests at once refuses those above. A refusal of a request that was sent after the last cut cuts the permits
by three tenths; those of requests that were sent before belong to the wave that is cut for already. Answers let them grow again along a
cubic curve, with rounds in place of seconds: soon back to near the number that was refused last, slow there, then faster and faster, so
that a doubled limit is found within some ten rounds.

An endpoint may also refuse at random, whatever the concurrency, and no cut would end that. It shows when refusals come, time and again, far
below the number that was refused before, though requests were answered there: then refusals as frequent as these are taken as given.

Sources: CUBIC (RFC 9438, sections 4.2 and 4.6) for the curve and the factor, NewReno (RFC 6582) for one cut per wave.
"""

import logging
import math

_log = logging.getLogger("symposia.limits")

_CUT = 0.7
_ROUNDS = 6
"""Rounds, of as many answers as there are permits, until they are back at the number that was refused; and from there to twice that."""
_ANSWERS = 80
"""Answers until then at least, so that at small numbers, too, about one request in a hundred is refused."""
_STRIKES = 3
"""Cuts in a row that were no cure, until refusals are taken as given."""
_GIVEN = 0.2
"""Largest share of refusals that is taken as given; more looks like a limit per minute, which fewer requests at once do help against."""
_MEMORY = 100
"""Requests after which the refusals before count half."""


class Permits:
    """The learned number of requests at once.

    Attributes:
        model: Whose permits they are, for the log.
        most: The number never to be exceeded.
        limit: The learned number, from 1 to `most`; its whole part counts.
    """

    def __init__(self, most: int, model: str = "") -> None:
        """Start with the most."""
        self.model = model
        self.most = most
        self.limit = float(most)
        self._said = most
        self._sent = 0
        self._learned = math.inf
        self._bad = 0  # permits at which requests were refused, as far as is known
        self._peak = 0  # permits before the cut that `_bad` comes from
        self._low = 0.0  # permits after the last cut
        self._rounds = 0.0  # since the last cut
        self._cut_at: float = -1  # number of the last request that was sent before the last cut
        self._proven = False  # whether a request was answered that was sent since
        self._unproven = 0  # refusals since, before an answer
        self._strikes = 0
        self._given = 0.0  # share of refusals that no cut would lower
        self._since = self._refusals = 0  # a request, and the refusals since that are counted for that share

    def sent(self) -> int:
        """The number of a request that is sent now, to be given to `answered` or `refusal`."""
        self._sent += 1
        return self._sent

    def refusal(self, number: int | None = None) -> bool:
        """Learn from the 429 of a request: fewer at once.

        Returns:
            Whether refusals persist though the permits were cut, so that nothing should be sent for a while.
        """
        if self.most < 1:
            return False
        if (self._sent if number is None else number) <= self._cut_at:
            if number is not None:
                self._count_wave()
            return False
        self._refusals += 1
        if self._given and self._refusals <= 3 + 1.5 * self._given * (self._sent - self._since):
            return False
        if self._proven or self._cut_at < 0:
            if not self._no_cure():
                self._cut()
            return False
        self._unproven += 1
        if self._unproven * 2 < self._sent - self._cut_at:
            return False  # most that were sent since are still under way
        self._cut()
        return True

    def answered(self, number: int | None = None) -> None:
        """Learn from the answer to a request: more at once, if it was sent since the last cut."""
        if number is not None and number <= self._cut_at:
            return
        self._proven = True
        if (tried := self._sent - self._since) >= _MEMORY:
            self._given = min(self._given, (self._refusals + 1) / tried)
            self._since, self._refusals = self._sent - tried // 2, self._refusals // 2
        if self._learned < self.most:
            self._rounds += 1 / self._learned
            self._learned = max(self._learned, min(self._aim(), self._learned + 1))
            self._set("answers")
        else:
            self._learned = math.inf  # nothing is known but the most, which may be raised

    def _aim(self) -> float:
        """The number on the curve, so many rounds after a cut."""
        level = max(_ROUNDS, _ANSWERS / self._bad)
        beyond = self._rounds - level
        if beyond < 0:
            return self._bad - (self._bad - self._low) * (-beyond / level) ** 3
        return self._bad * (1 + (beyond / _ROUNDS) ** 3)

    def _cut(self) -> None:
        if self._proven or not self._bad:  # else the last cut was not deep enough, and how much was too much is known
            self._bad = self._peak = int(self.limit)
        self._low = self._learned = max(1.0, self.limit * _CUT)
        self._cut_at, self._rounds = self._sent, 0.0
        self._proven, self._unproven = False, 0
        self._set("429")

    def _count_wave(self) -> None:
        """Learn from another refusal of the wave that was cut for: as many as were not refused can be borne, counted down to one half."""
        if self._bad > self._peak // 2 + 1:
            self._bad -= 1
            if self._learned > self._bad - 1:
                self._low = self._learned = float(self._bad - 1)
                self._set("429")

    def _no_cure(self) -> bool:
        """Whether cuts have not ended the refusals, and these are so few that they are taken as given."""
        near = self.limit >= max(2.0, 0.9 * self._bad - 1)
        self._strikes = 0 if near else self._strikes + 1
        if 0 < self._strikes < _STRIKES:
            return False
        share = self._refusals / max(1, self._sent - self._since)
        self._strikes, self._since, self._refusals = 0, self._sent, 0
        if near or share > _GIVEN:
            return False
        self._given = share
        return True

    def _set(self, why: str) -> None:
        """Bring the limit in line with what is known; say so if it changed by more than a trifle."""
        self.limit = min(self._learned, float(self.most))
        permits = int(self.limit)
        change = abs(permits - self._said)
        if not change or (change < 0.1 * self._said and permits != self.most):
            return
        _log.info("permits of %s: %d -> %d (%s)", self.model, self._said, permits, why)
        self._said = permits
        self._changed()

    def _changed(self) -> None:
        """Hear of such a change."""
