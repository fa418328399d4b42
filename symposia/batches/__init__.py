"""Batches: a method over the rows of a data set, as fast as the models allow, never paying twice."""
