"""Every row of the founding documents has a test, or a reason why it can have none."""

from __future__ import annotations

import founding
import pytest

TESTS = founding.tests()
BY_ROW = founding.tests_by_row(TESTS)
REASONS = founding.reasons()


@pytest.mark.parametrize("row", founding.ROWS)
def test_a_row_has_a_test_or_a_reason(row):
    assert row in BY_ROW or REASONS.get(row), (
        f"{row} ({founding.ROWS[row]}): name a test test_{row}_…, or say in docs/dropin.md why not"
    )


def test_no_test_and_no_reason_is_for_a_row_that_does_not_exist():
    assert set(BY_ROW) | set(REASONS) <= set(founding.ROWS)


def test_what_has_a_test_needs_no_reason():
    assert not set(BY_ROW) & set(REASONS)


def test_the_page_is_made_of_todays_tests():
    written = founding.rows_of(founding.TABLE.read_text("utf-8"))
    today = founding.rows_of(founding.page(dict.fromkeys(TESTS, "passed")))
    stale = [row for row, (by, _) in today.items() if written.get(row, ("",))[0] != by]
    assert not stale, f"python test/rows.py --write ({', '.join(stale)})"


def test_no_row_of_the_page_has_failed():
    written = founding.rows_of(founding.TABLE.read_text("utf-8"))
    assert {row for row, (_, state) in written.items() if "failed" in state} == set()


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("test_C17_close_from_thread", ["C17"]),
        ("test_S14_S18_open", ["S14", "S18"]),
        ("test_something_W09_late", ["W09"]),
        ("test_A1_no", []),
        ("test_XA17_no", []),
        ("test_C171_no", []),
    ],
)
def test_ids_in_names(name, rows):
    assert founding.Test("test/test_x.py", name).rows == rows


def test_rows_are_numbered_from_one():
    for letter in founding.DOCUMENTS:
        numbers = [int(row[1:]) for row in founding.ROWS if row.startswith(letter)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_the_worst_end_counts():
    assert founding.state_of(["passed", "skipped"]) == "passed"
    assert founding.state_of(["skipped"]) == "skipped"
    assert "failed" in founding.state_of(["passed", "failed"])
