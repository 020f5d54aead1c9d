"""What people do about exceptions, from the command line and the app alike: work, proposals, a second pair of eyes, and
decisions that every later run keeps.

Laws:
- Whoever acts is the person of a live session; no door takes a name, and each deed is one event of theirs.
- Nobody approves their own proposal, and nothing becomes a decision without an approval. The database holds both.
- A decision is about content (line key and version, entry key and line number), never about a row's number, so it holds
  in a rebuilt database too; a corrected line is another content and open to judgement again.
- A decision acts from its business day on and never on the days before it, which stay as they were told.
- What a proposal names is kept as it was seen when it was made, and approved only if all of it is still so.
- Of several decisions about one content the latest holds.
- What is to be posted is an entry that brings the lines to zero, frozen with the proposal; nothing here posts it.

``work`` is what moves no money, ``attachments`` what people enclose (``enclosed`` knows it by its bytes), ``proposals``
what two people decide, about ``named_lines`` and, where money moves, by the entry of ``adjustments``. ``decisions``
reads for the daily run what holds; ``feedback`` counts what people made of suggestions. Makes no match: the next run
does.
"""
