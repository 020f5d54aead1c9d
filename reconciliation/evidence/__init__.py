"""The daily proof that two books agree, and what people and auditors read of it.

Laws: the bridge adds up to the minor unit or the rest is named unexplained, never spread or rounded away; every line
in play is in exactly one bucket, and the counts show it; a proof is never replaced, a later run adds one beside it.

``bridge`` computes, ``statement`` tells.
"""
