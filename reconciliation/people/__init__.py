"""Who acts: people, what their roles let them do, how they prove who they are, and for how long that holds.

Laws:
- A person is a login that is never given to anybody else. Two logins of one human (`same_as`) are one human wherever
  four eyes are asked for.
- Nobody acts by saying a name: whoever acts holds the token of a live session, and the database looks the person up by
  it. A disabled person, an ended, idle or expired session act no more from that moment on.
- What a role may do stands in one table here and in the database's `recon.permits`; a test compares the two.
- Passwords and tokens are kept as hashes only, and are in no message, `repr` or log. One role of the database reads
  them, and that role can do nothing else.
- What happened to a person (made, changed, disabled, password set) is history that nobody changes.

``permissions`` and ``passwords`` are pure; ``registry`` holds people, ``sessions`` who is at work, ``login`` the way
in by password. No clock, no randomness, no network: times are the database's, salts and tokens are passed in.
"""
