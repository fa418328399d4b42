"""The slots of each model, shared out among the crews of a batch."""

from symposia.tools.settings import limits_of


class Slots:
    """Slots of each model, shared out among the crews: whoever has calls waiting gets what others leave unused, the sum never grows."""

    def __init__(self, crews: int) -> None:
        """For so many crews."""
        self._crews = crews
        self._ordered: dict[str, dict[str, int]] = {}
        self.reported: dict[str, dict[str, dict[str, int]]] = {}

    def report(self, name: str, models: dict[str, dict[str, int]]) -> None:
        """Take in the slots of a crew, by model."""
        self.reported[name] = models

    def gone(self, name: str) -> None:
        """A crew is dead, its slots are free."""
        self.reported.pop(name, None)
        self._ordered.pop(name, None)

    def order(self, name: str) -> dict[str, int] | None:
        """The slots that a crew may use from now on; None for a single crew, which has them all."""
        if self._crews == 1:
            return None
        models = {model for one in self.reported.values() for model in one}
        return {model: self._share(name, model) for model in models}

    def _share(self, name: str, model: str) -> int:
        """A busy crew's part of what the others do not hold; an idle one keeps a little, to begin with at once."""
        most = limits_of(model).concurrency or 1
        mine = self.reported.get(name, {}).get(model, {})
        busy = [crew for crew, one in self.reported.items() if one.get(model, {}).get("waiting")]
        least = max(1, most // (4 * self._crews))
        if mine.get("waiting") or not busy:
            wanted = max(least, most // max(1, len(busy) or self._crews))
        else:
            wanted = max(least, mine.get("active", 0))
        others = sum(self._held(crew, model, most) for crew in {*self.reported, *self._ordered} if crew != name)
        missing = self._crews - len({*self.reported, *self._ordered, name})
        others += missing * (most // self._crews)  # crews that have not said anything yet start with an equal share
        granted = max(min(1, most), min(wanted, most - others))
        self._ordered.setdefault(name, {})[model] = granted
        return granted

    def _held(self, crew: str, model: str, most: int) -> int:
        """What a crew may be using, as far as one can know."""
        slots = self.reported.get(crew, {}).get(model)
        if slots is None:
            return most // self._crews
        return max(slots["most"], slots["active"], self._ordered.get(crew, {}).get(model, 0))
