# SPDX-License-Identifier: Apache-2.0
"""Learns CLIP-style byte-pair merges the slow way: every pair is counted anew before every merge.

    bpe_reference.py CORPUS MERGES     prints the merges file for the lines of a text

Written after Sennrich et al. 2016, section 3.2; shares no code with the library. Lines are cleaned by lower-casing and
collapsing white space only, so the corpus must be one that ftfy leaves as it is.
"""
import collections
import html
import sys
import unicodedata

SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def byte_characters():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {b: chr(b) for b in plain}
    for b in range(256):
        table.setdefault(b, chr(256 + len(table) - len(plain)))
    return table


def pieces(text):
    """OpenAI's expression, alternative by alternative."""
    def kind(c):
        return "space" if c.isspace() else {"L": "letter", "N": "number"}.get(unicodedata.category(c)[0], "other")

    at = 0
    while at < len(text):
        fixed = [s for s in (*SPECIAL, "'s", "'t", "'re", "'ve", "'m", "'ll", "'d") if text.startswith(s, at)]
        end = at + 1
        if fixed:
            end = at + len(fixed[0])
        elif kind(text[at]) in ("letter", "other"):
            while end < len(text) and kind(text[end]) == kind(text[at]):
                end += 1
        if kind(text[at]) != "space" and text[at:end] not in SPECIAL:
            yield text[at:end]
        at = end


def learn(lines, merges):
    table = byte_characters()
    words = collections.Counter()
    for line in lines:
        line = " ".join(line.split()).lower()
        assert html.unescape(line) == line and unicodedata.normalize("NFC", line) == line
        for piece in pieces(line):
            symbols = [table[b] for b in piece.encode()]
            words[(*symbols[:-1], symbols[-1] + "</w>")] += 1
    learned = []
    while len(learned) < merges:
        counts = collections.Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                counts[pair] += count
        if not counts:
            break
        a, b = min(counts, key=lambda pair: (-counts[pair], pair))
        learned.append((a, b))
        merged = collections.Counter()
        for word, count in words.items():
            new, i = [], 0
            while i < len(word):
                if word[i:i + 2] == (a, b):
                    new.append(a + b)
                    i += 2
                else:
                    new.append(word[i])
                    i += 1
            merged[tuple(new)] += count
        words = merged
    return learned


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        learned = learn(file.read().split("\n"), int(sys.argv[2]))
    print("#version: 0.2")
    for a, b in learned:
        print(a, b)


if __name__ == "__main__":
    main()
