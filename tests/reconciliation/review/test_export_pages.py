"""The list as a file: the rows of exactly that list, proved by its own footer, for whoever may take it away."""

import csv
import io
import json

import openpyxl

from reconciliation.evidence.independent import check_csv, check_json, check_xlsx
from reconciliation.review.filters import Filter
from reconciliation.review.listing import count_and_sum
from tests.reconciliation.daily.desk import MONDAY, TUESDAY, Desk, movement
from tests.reconciliation.review.app_on_desk import NOW, app_on_desk

FORMULA = "=HYPERLINK(1)"


def test_a_file_holds_the_rows_of_the_list_and_a_footer_that_proves_them(desk: Desk) -> None:
    lines = [movement(f"P-{number}", 100 * number) for number in range(1, 6)]
    desk.statement(MONDAY, *lines, movement(FORMULA, -3_00))
    desk.run(MONDAY)
    desk.run(TUESDAY)
    for login, role in (("vera", "viewer"), ("otto", "auditor")):
        desk.enrol(login, role)
    with app_on_desk(desk) as app, desk.session("tieout_auditor") as connection:
        otto = app.browser("otto")
        for query in (
            "",
            "source=bank&kind=missing_in_ledger",
            "amount_from=3",
            "class=timing",
            "source=stripe",
        ):
            listed = count_and_sum(connection, Filter.from_query(query), today=NOW.date())
            answer = otto.get(f"/export/exceptions.csv?{query}")
            footer = {
                name: json.loads(value)
                for name, value in (
                    line[2:].split(": ", 1) for line in answer.text.splitlines() if line[:2] == "# "
                )
            }
            assert int(answer.headers["x-tieout-rows"]) == footer["rows"] == listed.count
            total = sum(part.value_minor for part in listed.by_asset)
            assert footer.get("control_total value_minor EUR", 0) == total
            assert footer["sha256"] == answer.headers["x-tieout-sha256"]
            assert footer["produced_by"] == "otto"
        everything = otto.get("/export/exceptions.csv")
        book = otto.get("/export/exceptions.xlsx")
        json_text = otto.get("/export/exceptions.json").text
        assert everything.headers["x-tieout-sha256"] == book.headers["x-tieout-sha256"]
        left = desk.ask("SELECT x.made_by, x.row_count, x.sha256 FROM recon.export_record AS x ORDER BY x.export_id")
        assert len(left) == 8
        assert left[-1] == ("otto", int(book.headers["x-tieout-rows"]), book.headers["x-tieout-sha256"])
        assert json.loads(json_text)["footer"]["sha256"] == everything.headers["x-tieout-sha256"]
        assert check_csv(everything.text) == []
        assert check_json(json_text) == []
        assert check_xlsx(io.BytesIO(book.content)) == []
        assert check_csv(everything.text.replace("bank", "bunk", 1)) != []

        cells = [cell for row in csv.reader(io.StringIO(everything.text)) for cell in row]
        assert f"'{FORMULA}" in cells
        assert FORMULA not in cells
        sheet = openpyxl.load_workbook(io.BytesIO(book.content))["rows"]
        assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
        assert app.browser("vera").get("/export/exceptions.csv").status_code == 403
        assert otto.get("/export/exceptions.csv?sauce=bank").status_code == 400
