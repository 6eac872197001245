"""Make `languages.txt.gz`, which `sklearn_meta.datasets.load_languages` reads.

    pip install babel==2.19.0 anyascii==0.3.3
    python benchmarks/_language_names.py languages.txt.gz

Names of territories and languages in the languages of Unicode CLDR, by way of Babel, in Latin
letters by anyascii. Languages whose script leaves vowels out (Arabic, Hebrew, Syriac) are left
out, and so are invented ones, and those most of whose words are there in a language of another
family: CLDR has lists that were copied and not translated. Babel and CLDR do not say families:
these are written down here, as ISO 639-5 has them; a creole is with the language most of its
words are from, and a language without a relative here is a family of its own.
"""

import argparse
import gzip
import random
import re
import string
import unicodedata
from collections import Counter

import babel.localedata
from anyascii import anyascii

FEWEST, MOST = 120, 330  # words of a language
SHORTEST, LONGEST = 3, 15  # letters of a word
MOST_SHARED = 0.5  # of the words of languages of different families
NO_VOWELS = {"ARABIC", "HEBREW", "SYRIAC"}
FAMILIES = {
    "aav": "vi km sat",
    "alv": "yo ig ee ak wo ff gaa blo dyo sg mua agq jgo",
    "bat": "lt lv prg",
    "ber": "kab rif tzm shi zgh",
    "bnt": "ln sn sbp nd rwk guz cgg kde lg xog mer ewo bas ksf jmc ksb dav luy rn zu xh rof nmg "
    "asa lag kam nyn vun ebu sw bez seh ki lu mgh yav",
    "ccn": "ce ab",
    "ccs": "ka",
    "cdc": "ha",
    "cel": "ga gd cy br",
    "cus": "so om byn",
    "dmn": "bm vai nqo",
    "dra": "kn ta ml te kxv brh",
    "egx": "cop",
    "esx": "kl",
    "euq": "eu",
    "gem": "fy de nl af ksh lb gsw wae nds da sv no fo is en frr pcm",
    "grk": "el",
    "hyx": "hy",
    "inc": "bn hi mr ne gu pa or as kok xnr mai si ccp",
    "ira": "ku tg",
    "iro": "chr",
    "jpx": "ja",
    "khi": "naq",
    "ko": "ko",
    "omv": "wal",
    "poz": "id ms jv fil ceb mg to mi bew",
    "qwe": "qu",
    "roa": "co ca pt lld sc lij fur scn ast it fr oc es rm vec gl an la ro pap kea mfe",
    "sai": "kgp",
    "sdv": "luo teo mas saq kln",
    "sem": "mt am ti tig gez",
    "sit": "zh yue my bo dz brx",
    "sla": "cs szl hsb dsb bg mk ru uk be sr bs hr sl sk pl",
    "son": "ses khq dje twq",
    "sqj": "sq",
    "tai": "th lo shn za",
    "trk": "tk az tr uz kk ky tt ba cv kaa tyv",
    "tup": "yrl",
    "urj": "fi et hu se smn sms",
    "xgn": "mn",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    path = parser.parse_args().path
    words = {
        (language, family): drawn_words(language)
        for family, languages in FAMILIES.items()
        for language in languages.split()
    }
    words = without_copies({key: drawn for key, drawn in words.items() if len(drawn) >= FEWEST})
    lines = [" ".join([*key, *drawn]) for key, drawn in words.items()]
    with open(path, "wb") as file:
        file.write(gzip.compress("\n".join(lines).encode(), mtime=0))


def without_copies(words):
    """Of two languages of different families that share most words, that of the larger family."""
    kept = {}
    size = Counter(family for _, family in words)
    for key in sorted(words, key=lambda key: -size[key[1]]):
        if not any(
            key[1] != other[1] and share(words[key], words[other]) > MOST_SHARED for other in kept
        ):
            kept[key] = words[key]
    return kept


def share(words, others):
    """Of the words of the smaller of two lists, how many are in the other."""
    return len(set(words) & set(others)) / min(len(words), len(others))


def drawn_words(language):
    """At most `MOST` different words of the names in that language, in alphabetical order."""
    # without what is inherited, which is written in the language of the parent
    with open(babel.localedata.resolve_locale_filename(language), "rb") as file:
        data = babel.localedata.pickle.load(file)
    names = [
        name
        for kind in ("territories", "languages")
        for name in data.get(kind, {}).values()
        if isinstance(name, str)
    ]
    if not names or script_of(names) in NO_VOWELS:
        return []
    words = sorted({word for name in names for word in words_of(name)})
    if len(words) > MOST:
        words = sorted(random.Random(language).sample(words, MOST))
    return words


def script_of(names):
    letters = (letter for name in names for letter in name if letter.isalpha())
    return Counter(unicodedata.name(letter, "?").split()[0] for letter in letters).most_common()[0][
        0
    ]


def words_of(name):
    """Its words, in lower-case letters a to z; those with any other sign in them are left out."""
    romanised = re.sub("['`]", "", anyascii(name).lower())
    words = re.split(r"[^a-z0-9]+", romanised)
    return [
        word
        for word in words
        if SHORTEST <= len(word) <= LONGEST and set(word) <= set(string.ascii_lowercase)
    ]


if __name__ == "__main__":
    main()
