"""Task collections to learn from: made ones, and small real ones."""

from ._real import load_countries, load_languages, load_vowels
from ._synthetic import Sinusoids

__all__ = ["Sinusoids", "load_countries", "load_languages", "load_vowels"]
