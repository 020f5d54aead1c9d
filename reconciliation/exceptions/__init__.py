"""What people decide about exceptions: proposals, a second pair of eyes, and decisions that every later run keeps.

Laws:
- Nobody approves their own proposal, and nothing becomes a decision without an approval. The database holds both.
- A decision is about content (line key and version, entry key and line number), never about a row's number, so it holds
  in a rebuilt database too; a corrected line is another content and open to judgement again.
- A decision acts from its business day on and never on the days before it, which stay as they were told.
- What a proposal names is kept as it was seen when it was made, and approved only if all of it is still so.
- Of several decisions about one content the latest holds.

``decisions`` reads for the daily run what holds; ``proposals`` is what people do. Moves no money and makes no match:
the next run does.
"""
