"""Plain functions that know nothing of graphs: model calls, answers, rewards."""
