"""Runs in a terminal: the path of one through its graph with the numbers behind each decision, and two of them compared.

Whatever a model, a data row or a store wrote is printed as text: `safe` spells out control characters, and nothing is read as markup.
"""

from symposia.show.difference import diff_runs
from symposia.show.page import page_of
from symposia.show.path import print_path
from symposia.show.run import show_run

__all__ = ["diff_runs", "page_of", "print_path", "show_run"]
