"""Each defect of Intercom mirrors that is known from other programs has tests here; this is the list of both."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

# What goes wrong in other programs, and the tests which show that it does not here: "file::test", without .py.
TRAPS = {
    "a scroll has one caller at a time, expires after a minute, and cannot be resumed": (
        "stories/test_client::test_a_scroll_gives_up_if_another_one_continues",
        "stories/test_client::test_a_scroll_with_an_expired_lease_begins_again",
        "stories/test_client::test_a_scroll_that_broke_off_begins_again",
        "stories/test_client::test_a_lost_page_of_a_scroll_is_not_skipped",
        "stories/test_backfill::test_companies_are_read_by_page_while_the_scroll_is_in_use",
    ),
    "the list of companies ends at ten thousand": (
        "stories/test_traps::test_the_10_001st_company_arrives",
        "stories/test_backfill::test_companies_beyond_the_paged_ones_wait_for_the_scroll",
        "stories/test_client::test_beyond_ten_thousand_companies_a_scroll_is_needed",
    ),
    "a contact contains only ten of its companies and tags": (
        "stories/test_fetch_object::test_truncated_lists_are_fetched_completely",
        "stories/test_verify::test_all_300_companies_of_a_contact_are_compared",
        "laws/test_link_cases::test_a_cut_list_never_removes_a_link",
    ),
    "searches have a resolution of days, in the workspace's time zone": (
        "unit/test_windows::test_a_search_finds_every_second_of_its_window",
        "stories/test_backfill::test_no_time_zone_hides_a_contact",
        "stories/test_traps::test_no_midnight_hides_a_change",
    ),
    "some changes do not update updated_at": (
        "stories/test_traps::test_a_tag_that_left_no_trace_in_updated_at_is_found",
    ),
    "objects move between pages while these are read": (
        "stories/test_traps::test_contacts_that_slip_to_a_page_already_read_are_not_missed",
        "stories/test_fetch_object::test_a_list_that_changed_while_it_was_read_counts_as_truncated",
        "processes/test_scale_slice::test_a_backfill_with_kills_and_losses_ends_equal",
    ),
    "lists and searches lag behind": (
        "stories/test_backfill::test_a_backfill_does_not_overwrite_newer_notifications",
        "stories/test_traps::test_objects_that_searches_show_late_are_found_by_the_next_run",
        "stories/test_verify::test_lagging_lists_are_not_a_difference",
    ),
    "merged contacts disappear without a notification": (
        "stories/test_reconcile::test_a_merge_whose_notification_was_lost_is_found",
        "stories/test_fetch_object::test_a_merged_contact_is_redirected_or_before_2_16_missing",
    ),
    "a stub overwrites a complete row with nulls": (
        "laws/test_notification_cases::test_an_archived_contact_keeps_its_row",
    ),
    "an empty cursor, or the word None, is sent": ("stories/test_client::test_an_empty_cursor_is_never_sent",),
    "times come in several forms, some from before 1970": (
        "unit/test_times::test_milliseconds_reads_every_format",
        "stories/test_traps::test_a_date_before_1970_is_a_date",
    ),
    "custom attributes are null, missing, or whole objects": (
        "stories/test_traps::test_an_attribute_may_be_a_list_of_objects_a_null_or_missing",
        "laws/test_notification_cases::test_custom_attributes_are_replaced_whole",
    ),
    "a search for null cannot be expressed": ("stories/test_actions::test_a_search_for_null_reaches_intercom_as_null",),
    "a user's visit changes last_request_at of the company": (
        "unit/test_verify_compare::test_changes_without_a_notification_are_counted_as_drift",
        "stories/test_traps::test_a_visit_arrives_with_the_next_list",
    ),
    "standard attributes have no id": (
        "stories/test_traps::test_attributes_without_an_id_are_identified_by_their_name",
    ),
    "a plan does not include a call, a workspace is closed": (
        "stories/test_traps::test_a_list_that_the_plan_forbids_does_not_stop_a_backfill",
        "stories/test_traps::test_a_closed_workspace_ends_a_backfill",
        "unit/test_replies::test_a_missing_permission_has_a_remedy",
    ),
    "client libraries stop, or loop, between pages": (
        "stories/test_client::test_contacts_are_paged_until_there_is_no_next",
        "stories/test_client::test_the_cursor_of_a_search_is_in_the_body",
        "stories/test_client::test_an_empty_page_is_not_the_end",
        "stories/test_client::test_a_page_that_is_its_own_next_page_is_an_error",
    ),
    "a successful response has no body, and errors are random": (
        "unit/test_replies::test_a_2xx_with_a_bad_body_is_a_transient_error",
        "stories/test_backfill::test_random_failures_of_intercom_only_delay_a_run",
    ),
    "an object is deleted before its lists are read": (
        "stories/test_fetch_object::test_an_object_that_is_deleted_while_it_is_read_is_fetched_again",
        "stories/test_traps::test_a_contact_that_is_deleted_during_its_refetch_is_no_longer_dirty",
    ),
    "companies without contacts are hidden, others are created implicitly": (
        "stories/test_verify::test_a_company_without_contacts_is_not_a_difference",
        "stories/test_traps::test_a_company_that_no_list_has_stays",
        "stories/test_traps::test_a_company_that_lists_hide_is_fetched_because_a_contact_references_it",
    ),
    "an archived duplicate was merged: it can be neither restored nor created again": (
        "stories/test_actions::test_an_existing_archived_contact_is_named_as_archived",
        "stories/test_actions::test_an_existing_contact_that_was_merged_leads_to_its_survivor",
        "unit/test_replies::test_a_conflict_has_the_id_of_the_existing_contact",
    ),
    "the uninstall callback has another signature than notifications": (
        "unit/test_signatures::test_a_callback_has_another_digest",
        "stories/test_uninstall::test_the_other_signature_is_accepted_too",
    ),
    "workspaces in Europe and Australia need another host": (
        "stories/test_connecting::test_the_region_is_pinned",
        "stories/test_client::test_a_token_of_another_region_is_refused_by_a_regions_host",
        "unit/test_replies::test_regions_have_hosts_of_their_own",
    ),
    "Intercom validates the address with HEAD": ("processes/test_hostile_requests::test_only_post_reaches_the_inbox",),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_has_its_tests(trap: str) -> None:
    """A test of the list that is renamed or deleted has to be replaced here."""
    assert TRAPS[trap]
    assert [name for name in TRAPS[trap] if name.partition("::")[2] not in _tests_of(name)] == []


def test_no_trap_is_forgotten() -> None:
    """The list is complete: two dozen."""
    assert len(TRAPS) == 24


def _tests_of(name: str) -> set[str]:
    tree = ast.parse((TESTS / f"{name.partition('::')[0]}.py").read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
