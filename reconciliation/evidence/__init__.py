"""The daily proof that two books agree, who signed it, and what people and auditors read of it.

Laws: the bridge adds up to the minor unit or the rest is named unexplained, never spread or rounded away; every line
in play is in exactly one bucket, and the counts show it; a proof is never replaced, a later run adds one beside it.
What was known at a moment is told in the same bytes for ever; an identity that fails is a value with words; what two
people signed is a digest, and a later change is told and never silent.

``bridge`` computes, ``statement`` says what was known, ``sign_off`` lets two people sign it, ``produced`` lets it leave
the house with its proof.
"""
