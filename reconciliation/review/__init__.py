"""The analysts' web app: lists, details, decisions, statements and sign-off as plain pages.

Laws:
- Whoever asks is looked up by the token of a live session, in the same transaction in which the page is made or the
  deed is done. A page without a deed in the table of permissions cannot be served; the database decides again.
- Reading runs under the auditor's role and writing under the analyst's; writing is by POST alone, from our own pages
  (same site, and a field that is bound to the session).
- What comes in is typed or refused with a sentence; no input makes an error of the program. What goes out is escaped
  by default, with no script and no style inside the page, and the browser is told so.
- A list is walked by key, never by counting rows; a filter in the address gives the same rows to all who may look.
- Everything works with plain links and forms; the scripts (htmx and ``keys.js``) only make it faster.

What stays outside: clock, randomness, network and configuration come in by ``ReviewConfig``; rules of the work are in
``reconciliation.exceptions`` and ``reconciliation.evidence``, which the command line calls too.

How a page is made::

    def show(visit: Visit) -> Response:                       # plain function, in a thread, in one transaction
        item = read(visit.connection, visit.id("exception_id"))
        return visit.page("detail.html", item=item)

    PAGES = (Page(path="/exceptions/{exception_id}", handler=show, deed="look"),)

Numbers and dates in a path are plain ``{name}`` and read by ``visit.id(name)`` and ``visit.day(name)``, which answer
404 for what is none. Forms post to a page with ``reads_form=True`` and hold ``{{ csrf_field() }}``; handlers read
``visit.form`` and ``visit.uploads`` and end with ``visit.see(path, said="Taken.")``. Raise the errors of
``reconciliation.errors``, or ``BadInput`` for what cannot be understood: each becomes a page. An answer must be
complete when the handler returns, for the transaction ends then; ``response.background`` runs after the commit.

The checkboxes of the list are fields ``item`` with the value ``id:version`` and post to ``/bulk``, beside ``filter``
(the list's own query string) and ``whole=1`` when all rows of the filter are meant.
"""
